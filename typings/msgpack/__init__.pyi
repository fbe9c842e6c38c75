# The part of msgpack's interface that this project uses; the package ships no types of its own.
from collections.abc import Callable, Iterator
from typing import NamedTuple

class UnpackException(Exception): ...

class ExtType(NamedTuple):
    code: int
    data: bytes

class Timestamp:
    seconds: int
    nanoseconds: int
    def __init__(self, seconds: int, nanoseconds: int = 0) -> None: ...
    def to_unix_nano(self) -> int: ...

class Packer:
    def __init__(
        self,
        *,
        default: Callable[[object], object] | None = None,
        use_single_float: bool = False,
        autoreset: bool = True,
        use_bin_type: bool = True,
        strict_types: bool = False,
        datetime: bool = False,
        unicode_errors: str | None = None,
        buf_size: int = ...,
    ) -> None: ...
    def pack(self, obj: object, /) -> bytes: ...
    def pack_array_header(self, size: int, /) -> bytes | None: ...
    def pack_map_header(self, size: int, /) -> bytes | None: ...
    def bytes(self) -> bytes: ...
    def reset(self) -> None: ...

class Unpacker:
    def __init__(
        self,
        file_like: None = None,
        *,
        read_size: int = 0,
        use_list: bool = True,
        raw: bool = False,
        timestamp: int = 0,
        strict_map_key: bool = True,
        object_hook: Callable[[dict[object, object]], object] | None = None,
        object_pairs_hook: Callable[[list[tuple[object, object]]], object] | None = None,
        ext_hook: Callable[[int, bytes], object] = ...,
        unicode_errors: str | None = None,
        max_buffer_size: int = ...,
        max_str_len: int = -1,
        max_bin_len: int = -1,
        max_array_len: int = -1,
        max_map_len: int = -1,
        max_ext_len: int = -1,
    ) -> None: ...
    def feed(self, next_bytes: bytes | bytearray | memoryview, /) -> None: ...
    def tell(self) -> int: ...
    def skip(self) -> None: ...
    def unpack(self) -> object: ...
    def read_array_header(self) -> int: ...
    def read_map_header(self) -> int: ...
    def __iter__(self) -> Iterator[object]: ...
    def __next__(self) -> object: ...

def packb(
    o: object,
    *,
    default: Callable[[object], object] | None = None,
    use_single_float: bool = False,
    use_bin_type: bool = True,
    strict_types: bool = False,
    datetime: bool = False,
    unicode_errors: str | None = None,
) -> bytes: ...
def unpackb(
    packed: bytes | bytearray | memoryview,
    *,
    use_list: bool = True,
    raw: bool = False,
    timestamp: int = 0,
    strict_map_key: bool = True,
    object_hook: Callable[[dict[object, object]], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[object, object]]], object] | None = None,
    ext_hook: Callable[[int, bytes], object] = ...,
    unicode_errors: str | None = None,
    max_str_len: int = -1,
    max_bin_len: int = -1,
    max_array_len: int = -1,
    max_map_len: int = -1,
    max_ext_len: int = -1,
) -> object: ...
