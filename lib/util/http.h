// Downloads over https, http and file (libcurl, opened on first use: a program that never downloads does not pay for
// loading it). Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace trainyard {

struct DownloadOptions {
  std::string sha256;  // hex; empty = not checked
  int64_t connect_timeout_ms = 30000;
  int64_t stall_timeout_ms = 60000;  // less than 1 KiB/s for this long is a failure
  int32_t attempts = 3;              // each goes on where the last one stopped
  // Called a few times a second; `total` is 0 while unknown. False ends the download with kCanceled.
  std::function<bool(uint64_t received, uint64_t total)> progress;
};

// Fetches `url` to `destination`, which appears only when it is complete, checked and on disk. What has come so far is
// kept beside it as "<destination>.part" and continued by the next call. Throws Error kNetwork, kNotFound (HTTP 404,
// 410), kPermission (401, 403; plain http to another machine, by a redirect too, with credentials or without a
// checksum), kCorrupt (the checksum differs), kNoSpace, kCanceled; the URL in their messages has no credentials. No
// proxy is asked for what is on this machine.
void DownloadFile(const std::string &url, const std::string &destination, const DownloadOptions &options);

}  // namespace trainyard
