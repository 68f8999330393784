module trainyard/tests/ffi

go 1.19
