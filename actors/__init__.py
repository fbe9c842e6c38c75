"""What a flow's author imports, and what runs inside zygotes and actor processes."""
