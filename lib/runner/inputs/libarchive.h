// libarchive, opened on first use: a supervisor without an archive does not pay for loading it and the compressors
// behind it. Thread-safe.
#pragma once

#include <archive.h>
#include <archive_entry.h>

namespace trainyard {

// The functions that are used. The formatter moves lists of macro calls at every run.
// clang-format off
#define TRAINYARD_LIBARCHIVE_FUNCTIONS(X) \
  X(read_new) X(read_free) X(read_support_filter_bzip2) X(read_support_filter_compress) \
  X(read_support_filter_lz4) X(read_support_filter_xz) X(read_support_filter_zstd) X(read_support_format_tar) \
  X(read_support_format_zip_seekable) X(read_open) X(read_open_filename) X(read_header_position) X(filter_bytes) \
  X(format) \
  X(read_next_header) X(read_data_block) X(write_disk_new) X(write_disk_set_options) X(write_header) \
  X(write_data_block) X(write_finish_entry) X(write_free) X(error_string) X(entry_pathname) \
  X(entry_pathname_utf8) X(entry_filetype) X(entry_perm) X(entry_size) X(entry_size_is_set) X(entry_symlink) X(entry_symlink_utf8) \
  X(entry_hardlink) X(entry_hardlink_utf8) X(entry_free) X(entry_new) X(entry_set_pathname) \
  X(entry_set_filetype) X(entry_set_perm) X(entry_set_size) X(entry_set_hardlink)
// clang-format on

struct Libarchive {
#define TRAINYARD_DECLARE(name) decltype(&archive_##name) name;  // NOLINT(bugprone-macro-parentheses): a declaration
  TRAINYARD_LIBARCHIVE_FUNCTIONS(TRAINYARD_DECLARE)
#undef TRAINYARD_DECLARE
  decltype(&archive_errno) error_number;  // "errno" is a macro
};

// Throws Error kRuntime when it is not installed.
const Libarchive &GetLibarchive();

}  // namespace trainyard
