"""The one exception of the package."""


class Error(RuntimeError):
    """Every failure of bytegate, with a sentence that says what was wrong and what is accepted.

    `code` says of which kind it is, as the C++ library's ErrorCode does: "invalid_argument" (a value, or a part of a
    model, outside what the call accepts), "shape_mismatch", "unknown_backend", "unsupported_backend", "bad_file" (a
    file that breaks its format), "io_error" (the operating system refused to open, read or write).
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code

    def __reduce__(self):
        return type(self), (self.code, str(self))
