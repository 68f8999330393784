#include <sqlite3.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmath>

#include "store/database.h"
#include "util/error.h"
#include "util/fs.h"
#include "util/text.h"

namespace trainyard {
namespace {

[[noreturn]] void Throw(sqlite3 *handle, int code, const std::string &path) {
  const int number = handle != nullptr ? sqlite3_system_errno(handle) : 0;
  const std::string reason = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  const Error::Details details = {{"path", path}};
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(Status::kBusy,
                  "the database '" + path + "' is busy: another process has been writing for a long time, try again",
                  details);
    case SQLITE_FULL:
      throw Error(Status::kNoSpace, "no space left for the database '" + path + "': free some or prune the workspace",
                  details);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(Status::kCorrupt, "the database '" + path + "' is damaged: " + reason, details);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      throw Error(Status::kPermission, "the database '" + path + "' cannot be written: " + reason, details);
    case SQLITE_NOMEM:
      throw Error(Status::kOutOfMemory, "out of memory in the database '" + path + "'", details);
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      if (number != 0) throw Error::FromErrno(number, "use the database", path);
      throw Error(Status::kIo, "cannot use the database '" + path + "': " + reason, details);
    default:
      throw Error(Status::kInternal, "the database '" + path + "' answered: " + reason, details);
  }
}

std::string PathOf(sqlite3 *handle) {
  const char *path = sqlite3_db_filename(handle, "main");
  return path != nullptr ? path : "";
}

// On a read-only file system the files beside a WAL database cannot be made, without which SQLite does not open it.
// Nobody can change it there either, so it may be opened as immutable, unless its log still holds changes.
bool IsImmutable(const std::string &path) {
  struct statvfs system {};
  if (statvfs(path.c_str(), &system) != 0 || (system.f_flag & ST_RDONLY) == 0) return false;
  const auto log = Stat(path + "-wal");
  return !log || log->size == 0;
}

std::string ImmutableUri(const std::string &path) {
  std::string uri = "file:";
  for (const char c : path) {
    constexpr char kHex[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%' || c == '?' || c == '#') {
      uri += {'%', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

Statement::~Statement() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement &Statement::Bind(int64_t value) {
  sqlite3_bind_int64(statement_, next_++, value);
  return *this;
}

Statement &Statement::Bind(double value) {
  if (std::isnan(value)) return Bind(std::string_view("NaN"));
  sqlite3_bind_double(statement_, next_++, value);
  return *this;
}

Statement &Statement::Bind(std::string_view value) {
  // Never a null pointer, which would be NULL.
  const char *data = value.data() != nullptr ? value.data() : "";
  sqlite3_bind_text64(statement_, next_++, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement &Statement::BindBlob(std::string_view value) {
  const char *data = value.data() != nullptr ? value.data() : "";
  sqlite3_bind_blob64(statement_, next_++, data, value.size(), SQLITE_STATIC);
  return *this;
}

Statement &Statement::BindNull() {
  sqlite3_bind_null(statement_, next_++);
  return *this;
}

bool Statement::Step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3 *handle = sqlite3_db_handle(statement_);
  Throw(handle, sqlite3_extended_errcode(handle), PathOf(handle));
}

void Statement::Run() {
  while (Step()) {
  }
}

int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::Double(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_TEXT) return std::nan("");
  return sqlite3_column_double(statement_, column);
}

std::string Statement::Text(int column) const {
  const auto *text = reinterpret_cast<const char *>(sqlite3_column_text(statement_, column));
  return text == nullptr ? std::string()
                         : std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

std::string_view Statement::Blob(int column) const {
  const auto *data = static_cast<const char *>(sqlite3_column_blob(statement_, column));
  return {data, data == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Connection::Connection(const std::string &path, bool read_only) : path_(path), owner_(getpid()) {
  const bool immutable = read_only && IsImmutable(path);
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (immutable ? SQLITE_OPEN_URI : 0) |
                    (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const std::string name = immutable ? ImmutableUri(path) : path;
  const int code = sqlite3_open_v2(name.c_str(), &handle_, flags, nullptr);
  if (code != SQLITE_OK) {
    const int number = handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
    sqlite3_close(handle_);
    handle_ = nullptr;
    if (number != 0) throw Error::FromErrno(number, "open the database", path);
    Throw(nullptr, code, path);
  }
  sqlite3_busy_timeout(handle_, 30000);
}

Connection::~Connection() {
  // In a forked child the file belongs to the parent: closing it here could remove its write-ahead log.
  if (getpid() != owner_) return;
  for (const auto &[sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Statement Connection::Prepare(const std::string &sql) {
  // The place first: a statement that nobody finalizes keeps the whole connection open.
  sqlite3_stmt *&statement = statements_.try_emplace(sql, nullptr).first->second;
  if (statement == nullptr) {
    const int code = sqlite3_prepare_v3(handle_, sql.c_str(), static_cast<int>(sql.size()) + 1,
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) Throw(handle_, code, path_);
  }
  if (sqlite3_stmt_busy(statement) != 0) throw Error::Internal("a statement was used inside itself: " + sql);
  return Statement(statement);
}

void Connection::Execute(const std::string &sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) Throw(handle_, code, path_);
}

int64_t Connection::LastInsertId() const {
  return sqlite3_last_insert_rowid(handle_);
}
int64_t Connection::Changes() const {
  return sqlite3_changes64(handle_);
}

void Connection::BackupTo(const std::string &path) {
  RemoveFile(path);
  Connection target(path, false);
  sqlite3_backup *backup = sqlite3_backup_init(target.handle_, "main", handle_, "main");
  if (backup == nullptr) Throw(target.handle_, sqlite3_extended_errcode(target.handle_), path);
  const int code = sqlite3_backup_step(backup, -1);
  sqlite3_backup_finish(backup);
  if (code != SQLITE_DONE) Throw(nullptr, code, path);
}

}  // namespace trainyard
