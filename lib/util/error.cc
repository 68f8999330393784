#include "util/error.h"

#include <cstring>

namespace trainyard {
namespace {

Status StatusOfErrno(int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return Status::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Status::kPermission;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Status::kNoSpace;
    case EEXIST:
      return Status::kAlreadyExists;
    case ENOMEM:
      return Status::kOutOfMemory;
    default:
      return Status::kIo;
  }
}

}  // namespace

Error Error::FromErrno(int number, const std::string &action, const std::string &path) {
  char text[128];
  // The GNU strerror_r may answer with a static string instead of filling the buffer.
  const char *reason = strerror_r(number, text, sizeof text);
  return {StatusOfErrno(number), "cannot " + action + " '" + path + "': " + reason, {{"path", path}}};
}

}  // namespace trainyard
