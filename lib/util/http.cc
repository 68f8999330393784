#include "util/http.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "util/clock.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/hash.h"
#include "util/url.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo

namespace trainyard {
namespace {

// The few functions of libcurl that are used, found in the shared library at run time. Never closed: curl_global_init
// may not be undone while other threads run.
struct Curl {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) init;
  decltype(&curl_easy_cleanup) cleanup;
  decltype(&curl_easy_setopt) setopt;
  decltype(&curl_easy_perform) perform;
  decltype(&curl_easy_getinfo) getinfo;
  decltype(&curl_easy_strerror) strerror;
};

template <typename Function>
void Resolve(void *library, const char *name, Function *out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  if (*out == nullptr) throw Error(Status::kRuntime, std::string("libcurl has no function ") + name);
}

Curl LoadCurl() {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(Status::kRuntime,
                std::string("cannot load libcurl for a download: ") + dlerror() + "; install libcurl4");
  }
  Curl curl{};
  Resolve(library, "curl_global_init", &curl.global_init);
  Resolve(library, "curl_easy_init", &curl.init);
  Resolve(library, "curl_easy_cleanup", &curl.cleanup);
  Resolve(library, "curl_easy_setopt", &curl.setopt);
  Resolve(library, "curl_easy_perform", &curl.perform);
  Resolve(library, "curl_easy_getinfo", &curl.getinfo);
  Resolve(library, "curl_easy_strerror", &curl.strerror);
  curl.global_init(CURL_GLOBAL_DEFAULT);
  return curl;
}

const Curl &GetCurl() {
  static const Curl curl = LoadCurl();
  return curl;
}

// One file on its way.
struct Transfer {
  int fd = -1;
  std::string part_path;
  uint64_t offset = 0;    // what was there before this attempt
  uint64_t received = 0;  // by this attempt
  int write_errno = 0;
  bool canceled = false;
  bool led_away = false;  // to where everybody on the way could read or change it
  int64_t last_progress_ms = 0;
  CURL *easy = nullptr;
  bool plain_stays_here = false;
  const DownloadOptions *options = nullptr;
};

// Callbacks of libcurl must not throw: what went wrong is kept in the transfer.
size_t OnData(const char *data, size_t size, size_t count, void *user_data) {
  auto *transfer = static_cast<Transfer *>(user_data);
  const size_t total = size * count;
  for (size_t done = 0; done < total;) {
    const ssize_t written = write(transfer->fd, data + done, total - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      transfer->write_errno = errno;
      return 0;
    }
    done += static_cast<size_t>(written);
  }
  transfer->received += total;
  return total;
}

int OnProgress(void *user_data, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) {
  auto *transfer = static_cast<Transfer *>(user_data);
  const int64_t now = MonotonicMs();
  if (!transfer->options->progress || now - transfer->last_progress_ms < 200) return 0;
  transfer->last_progress_ms = now;
  const uint64_t whole = total > 0 ? static_cast<uint64_t>(total) + transfer->offset : 0;
  try {
    transfer->canceled = !transfer->options->progress(transfer->offset + transfer->received, whole);
  } catch (...) {
    transfer->canceled = true;
  }
  return transfer->canceled ? 1 : 0;
}

// Before each request, those after redirects too: plain http is for this machine unless a hash says what must come.
int OnRequest(void *user_data, char *peer, char *, int, int) {
  auto *transfer = static_cast<Transfer *>(user_data);
  char *url = nullptr;
  GetCurl().getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
  const std::string_view to = url == nullptr ? "" : url;
  const bool plain = to.size() > 5 && strncasecmp(to.data(), "http:", 5) == 0;
  transfer->led_away = plain && transfer->plain_stays_here &&
                       !(IsLoopbackHost(HostOfUrl(to)) && IsLoopbackHost(peer == nullptr ? "" : peer));
  return transfer->led_away ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

// What the environment says of proxies, and that there is none on the way to this machine: what may go there in plain
// http would pass through another one.
std::string NoProxyFor(const std::string &host) {
  const char *own = std::getenv("no_proxy");          // NOLINT(concurrency-mt-unsafe)
  if (own == nullptr) own = std::getenv("NO_PROXY");  // NOLINT(concurrency-mt-unsafe)
  const std::string list = own == nullptr ? "" : own;
  return list == "*" ? list : host + ",localhost,127.0.0.1,::1" + (list.empty() ? "" : "," + list);
}

struct Answer {
  CURLcode code = CURLE_OK;
  long http_status = 0;
  std::string reason;
};

Answer Perform(const std::string &url, Transfer *transfer) {
  const Curl &curl = GetCurl();
  const std::unique_ptr<CURL, decltype(curl.cleanup)> handle(curl.init(), curl.cleanup);
  if (!handle) throw Error(Status::kOutOfMemory, "no memory for a download");
  CURL *easy = handle.get();
  char message[CURL_ERROR_SIZE] = "";
  const DownloadOptions &options = *transfer->options;
  curl.setopt(easy, CURLOPT_URL, url.c_str());
  curl.setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http,file");
  // A redirect must not turn a download into reading a local file.
  curl.setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https:") ? "https" : "https,http");
  curl.setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl.setopt(easy, CURLOPT_MAXREDIRS, 10L);
  const std::string host = HostOfUrl(url);
  if (IsLoopbackHost(host)) curl.setopt(easy, CURLOPT_NOPROXY, NoProxyFor(host).c_str());
  transfer->easy = easy;
  transfer->plain_stays_here = options.sha256.empty() || HasCredentials(url);
  curl.setopt(easy, CURLOPT_PREREQFUNCTION, &OnRequest);
  curl.setopt(easy, CURLOPT_PREREQDATA, transfer);
  curl.setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl.setopt(easy, CURLOPT_FAILONERROR, 1L);
  curl.setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_ms));
  curl.setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1024L);
  curl.setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::max<int64_t>(1, options.stall_timeout_ms / 1000)));
  curl.setopt(easy, CURLOPT_USERAGENT, "trainyard");
  curl.setopt(easy, CURLOPT_ERRORBUFFER, message);
  curl.setopt(easy, CURLOPT_WRITEFUNCTION, &OnData);
  curl.setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl.setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl.setopt(easy, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl.setopt(easy, CURLOPT_XFERINFODATA, transfer);
  if (transfer->offset > 0) curl.setopt(easy, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer->offset));
  Answer answer;
  answer.code = curl.perform(easy);
  curl.getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.http_status);
  answer.reason = message[0] != '\0' ? message : curl.strerror(answer.code);
  return answer;
}

[[noreturn]] void ThrowFor(const Answer &answer, const Transfer &transfer, const std::string &given_url) {
  const std::string url = MaskCredentials(given_url);
  const Error::Details details = {{"url", url}, {"http_status", std::to_string(answer.http_status)}};
  if (transfer.canceled) throw Error(Status::kCanceled, "the download of " + url + " was canceled", details);
  if (transfer.write_errno != 0) throw Error::FromErrno(transfer.write_errno, "write", transfer.part_path);
  if (transfer.led_away) {
    throw Error(Status::kPermission,
                "cannot download " + url +
                    ": it leads to another machine by plain http, where everybody on the way can read its credentials "
                    "or change what comes: use https, or a URL without credentials and the file's SHA-256",
                details);
  }
  Status status = Status::kNetwork;
  if (answer.http_status == 404 || answer.http_status == 410 || answer.code == CURLE_FILE_COULDNT_READ_FILE) {
    status = Status::kNotFound;
  } else if (answer.http_status == 401 || answer.http_status == 403) {
    status = Status::kPermission;
  } else if (answer.code == CURLE_URL_MALFORMAT || answer.code == CURLE_UNSUPPORTED_PROTOCOL) {
    status = Status::kInvalidArgument;
  }
  throw Error(status, "cannot download " + url + ": " + answer.reason, details);
}

// Whether the same request may work a moment later.
bool MayRetry(const Answer &answer, const Transfer &transfer) {
  if (transfer.canceled || transfer.write_errno != 0) return false;
  switch (answer.code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return true;
    case CURLE_HTTP_RETURNED_ERROR:
      return answer.http_status == 408 || answer.http_status == 429 || answer.http_status >= 500;
    default:
      return false;
  }
}

void Fetch(const std::string &url, const DownloadOptions &options, const std::string &part_path) {
  const UniqueFd fd = OpenFile(part_path, O_WRONLY | O_CREAT | O_APPEND);
  for (int32_t attempt = 1;; ++attempt) {
    Transfer transfer;
    transfer.fd = fd.get();
    transfer.part_path = part_path;
    transfer.options = &options;
    // Without a checksum nothing proves that the beginning kept from an earlier call is of the same file.
    const bool may_continue = !options.sha256.empty() || attempt > 1;
    if (!may_continue && ftruncate(fd.get(), 0) != 0) throw Error::FromErrno(errno, "empty", part_path);
    const off_t end = lseek(fd.get(), 0, SEEK_END);
    transfer.offset = end > 0 ? static_cast<uint64_t>(end) : 0;
    const Answer answer = Perform(url, &transfer);
    if (answer.code == CURLE_OK) break;
    // 416: all of it is there, or more than there is; servers and files that cannot continue: from the start.
    const bool cannot_continue =
        transfer.offset > 0 &&
        (answer.http_status == 416 || answer.code == CURLE_RANGE_ERROR || answer.code == CURLE_BAD_DOWNLOAD_RESUME);
    if (cannot_continue) {
      if (!options.sha256.empty() && Sha256File(part_path) == options.sha256) break;
      if (ftruncate(fd.get(), 0) != 0) throw Error::FromErrno(errno, "empty", part_path);
    }
    if (attempt >= options.attempts || !(cannot_continue || MayRetry(answer, transfer))) {
      ThrowFor(answer, transfer, url);
    }
    if (!cannot_continue) usleep(static_cast<useconds_t>(500000 * attempt));
  }
  if (fsync(fd.get()) != 0) throw Error::FromErrno(errno, "write", part_path);
}

}  // namespace

void DownloadFile(const std::string &url, const std::string &destination, const DownloadOptions &options) {
  const std::string shown = MaskCredentials(url);
  if (!options.sha256.empty() && !IsSha256Hex(options.sha256)) {
    throw Error::InvalidArgument("the SHA-256 of " + shown + " must be 64 lower-case hexadecimal digits, got '" +
                                 options.sha256 + "'");
  }
  const std::string part_path = destination + ".part";
  try {
    Fetch(url, options, part_path);
  } catch (const Error &error) {
    if (error.status() == Status::kNoSpace) RemoveFile(part_path);  // else the disk would stay full
    throw;
  }
  if (!options.sha256.empty()) {
    const std::string actual = Sha256File(part_path);
    if (actual != options.sha256) {
      RemoveFile(part_path);
      throw Error::Corrupt("the file at " + shown + " has SHA-256 " + actual + ", expected " + options.sha256 +
                               "; check the address and the number after '#'",
                           {{"url", shown}});
    }
  }
  RenamePath(part_path, destination);
  SyncDirectory(ParentPath(destination));
}

}  // namespace trainyard
