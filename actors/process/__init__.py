"""What runs inside an actor process: one routine of one flow, fed by the supervisor."""
