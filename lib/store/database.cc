#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "store/schema.h"
#include "util/boot.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/json.h"
#include "util/log.h"

namespace trainyard {
namespace {

// An open-file-description lock on the whole file: shared F_RDLCK, exclusive F_WRLCK, F_UNLCK. 0, or errno.
int TryLock(int fd, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

bool IsContention(int number) {
  return number == EAGAIN || number == EACCES;
}

int LockWithin(int fd, short type, int64_t wait_ms) {
  const int64_t end = MonotonicMs() + wait_ms;
  for (;;) {
    const int number = TryLock(fd, type);
    if (!IsContention(number) || MonotonicMs() >= end) return number;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

bool SameMachine(const HostIdentity &a, const HostIdentity &b) {
  if (!a.boot_id.empty() && !b.boot_id.empty()) return a.boot_id == b.boot_id;
  return a.hostname == b.hostname;
}

int64_t PragmaInt(Connection &connection, const std::string &pragma) {
  auto statement = connection.Prepare("PRAGMA " + pragma);
  return statement.Step() ? statement.Int(0) : 0;
}

int64_t MetaInt(Connection &connection, const char *key) {
  auto statement = connection.Prepare("SELECT value FROM meta WHERE key = ?");
  statement.Bind(key);
  return statement.Step() ? statement.Int(0) : 0;
}

// Bytes 18 and 19 of a database file tell whether it is in write-ahead mode.
bool IsWalFile(const std::string &path) {
  if (!PathExists(path)) return false;
  std::array<uint8_t, 2> versions{};
  const UniqueFd fd = OpenFile(path, O_RDONLY);
  return ReadAt(fd.get(), versions.data(), 2, 18, path) == 2 && versions[0] == 2;
}

}  // namespace

int64_t Database::Format() {
  return kSchemaFormat;
}

Database::Database(const Layout &layout, const DatabaseOptions &options)
    : layout_(layout), options_(options), owner_(getpid()) {
  if (options_.format == 0) options_.format = kSchemaFormat;
  const bool exists = PathExists(layout_.Database());
  if (!exists) {
    if (!options_.create) {
      throw Error::NotFound("'" + layout_.Root() + "' is not a workspace: there is no trainyard.db in it",
                            {{"path", layout_.Root()}});
    }
    if (IsDirectory(layout_.Root()) && !PathExists(layout_.Lock()) && !ListDir(layout_.Root()).empty()) {
      throw Error::InvalidArgument(
          "'" + layout_.Root() + "' is not empty and not a workspace: give an empty or new directory",
          {{"path", layout_.Root()}});
    }
    MakeDirs(layout_.Root(), 0700);
  }
  network_ = GetFileSystemKind(layout_.Root()).network;
  LockWorkspace();
  for (const std::string &directory : {layout_.Objects(), layout_.Environments(), layout_.Runs()}) {
    if (!exists) MakeDirs(directory, 0700);
  }
  Connect();
  PrepareFormat();
}

Database::~Database() {
  if (getpid() != owner_ && connection_) static_cast<void>(connection_.release());  // see ~Connection
}

void Database::CheckFork() const {
  if (getpid() != owner_) {
    throw Error(Status::kForked, "this process was forked from the one that opened the workspace: open it again here",
                {{"path", layout_.Root()}});
  }
}

void Database::LockWorkspace() {
  const std::string path = layout_.Lock();
  try {
    lock_ = OpenFile(path, O_RDWR | O_CREAT, 0600);
  } catch (const Error &error) {
    if (error.status() != Status::kPermission || !PathExists(path)) throw;
    lock_ = OpenFile(path, O_RDONLY);  // to look at somebody else's workspace, or on a read-only disk
    read_only_ = true;
  }
  ClaimHost();
}

void Database::ClaimHost() {
  const HostIdentity self = options_.host ? *options_.host : HostIdentity{HostName(), BootId()};
  if (!read_only_ && TryLock(lock_.get(), F_WRLCK) == 0) {
    const std::string record = Json::Object().Set("hostname", self.hostname).Set("boot_id", self.boot_id).Dump() + "\n";
    if (ftruncate(lock_.get(), 0) != 0 || pwrite(lock_.get(), record.data(), record.size(), 0) < 0) {
      throw Error::FromErrno(errno, "write", layout_.Lock());
    }
  }
  const int number = LockWithin(lock_.get(), F_RDLCK, options_.lock_wait_ms);
  if (IsContention(number)) {
    throw Error(Status::kBusy,
                "the workspace '" + layout_.Root() + "' is being migrated by another process: try again later",
                {{"path", layout_.Root()}});
  }
  if (number != 0 && network_) {
    throw Error(
        Status::kUnsupported,
        "the workspace '" + layout_.Root() + "' is on a network file system without file locks: put it on a local disk",
        {{"path", layout_.Root()}});
  }
  if (!network_) return;
  const auto text = ReadFileIfExists(layout_.Lock(), 4096).value_or("");
  HostIdentity holder = self;
  if (!text.empty()) {
    const Json record = Json::Parse(text, layout_.Lock());
    holder = {record.GetString("hostname", ""), record.GetString("boot_id", "")};
  }
  if (!SameMachine(self, holder)) {
    lock_.Reset();
    throw Error(Status::kBusy,
                "the workspace '" + layout_.Root() + "' is on a network file system and in use on the host '" +
                    holder.hostname + "': only one host at a time may use it",
                {{"path", layout_.Root()}, {"host", holder.hostname}});
  }
}

void Database::Connect() {
  const std::string path = layout_.Database();
  if (!read_only_ && !PathExists(path)) {
    const UniqueFd made = OpenFile(path, O_RDWR | O_CREAT, 0600);  // SQLite would use the umask
  }
  auto fresh = std::make_unique<Connection>(path, read_only_);
  if (network_ && IsWalFile(path)) {
    // It was made on a local disk. Exclusive mode first: the write-ahead index is shared memory, which networks have
    // not.
    fresh->Execute(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=DELETE; PRAGMA locking_mode=NORMAL; SELECT 1 FROM "
        "sqlite_master");
    if (IsWalFile(path)) {
      throw Error(Status::kBusy, "the database '" + path + "' is in use elsewhere: close it there first",
                  {{"path", path}});
    }
  }
  if (!read_only_) fresh->Execute(network_ ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL");
  fresh->Execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY");
  connection_ = std::move(fresh);
}

void Database::PrepareFormat() {
  const int64_t ours = options_.format;
  int64_t format = PragmaInt(*connection_, "user_version");
  if (format == 0 && !read_only_) {
    connection_->Execute("BEGIN EXCLUSIVE");
    try {
      format = PragmaInt(*connection_, "user_version");
      if (format == 0) {
        if (connection_->Prepare("SELECT 1 FROM sqlite_master").Step()) {
          throw Error::Corrupt("'" + layout_.Database() + "' is a database of another program",
                               {{"path", layout_.Database()}});
        }
        connection_->Execute(kSchema);
        const auto put = [&](const char *key, int64_t value) {
          connection_->Prepare("INSERT INTO meta (key, value) VALUES (?, ?)").Bind(key).Bind(value).Run();
        };
        put("min_reader", kSchemaMinReader);
        put("min_writer", kSchemaMinWriter);
        put("created_ms", NowUnixMs());
        connection_->Execute("PRAGMA user_version = " + std::to_string(kSchemaFormat));
        format = kSchemaFormat;
      }
      connection_->Execute("COMMIT");
    } catch (...) {
      if (sqlite3_get_autocommit(connection_->handle()) == 0) connection_->Execute("ROLLBACK");
      throw;
    }
  }
  if (format < ours && !read_only_) {
    Migrate(format);
    return;
  }
  if (format <= ours) return;
  if (MetaInt(*connection_, "min_writer") <= ours) return;
  const int64_t reader = MetaInt(*connection_, "min_reader");
  if (reader > ours || reader == 0) {
    throw Error(Status::kVersion,
                "the workspace '" + layout_.Root() + "' has format " + std::to_string(format) +
                    ", this library reads up to format " + std::to_string(ours) + ": use a newer trainyard",
                {{"path", layout_.Root()}});
  }
  Log(LogLevel::kWarning,
      "the workspace '" + layout_.Root() + "' has the newer format " + std::to_string(format) + ": read-only");
  read_only_ = true;
  newer_ = true;
  connection_.reset();
  Connect();
}

void Database::Migrate(int64_t from) {
  connection_.reset();
  // Given up first: two processes that both hold it shared would wait for each other.
  TryLock(lock_.get(), F_UNLCK);
  if (LockWithin(lock_.get(), F_WRLCK, options_.lock_wait_ms) != 0) {
    throw Error(Status::kBusy,
                "the workspace '" + layout_.Root() + "' must be migrated from format " + std::to_string(from) + " to " +
                    std::to_string(options_.format) +
                    " but other processes (programs or runs) have it open: end them and try again",
                {{"path", layout_.Root()}});
  }
  Connect();
  int64_t format = PragmaInt(*connection_, "user_version");
  if (format < options_.format) {
    const std::string backup = layout_.Database() + ".bak-v" + std::to_string(format);
    connection_->BackupTo(backup + ".tmp");
    if (chmod((backup + ".tmp").c_str(), 0600) != 0) throw Error::FromErrno(errno, "change the mode of", backup);
    SyncFile(backup + ".tmp");
    RenamePath(backup + ".tmp", backup);
    SyncDirectory(layout_.Root());
  }
  std::vector<Migration> steps = SchemaMigrations();
  steps.insert(steps.end(), options_.migrations.begin(), options_.migrations.end());
  connection_->Execute("BEGIN EXCLUSIVE");
  try {
    while (format < options_.format) {
      const auto step = std::find_if(steps.begin(), steps.end(), [&](const Migration &m) { return m.from == format; });
      if (step == steps.end()) {
        throw Error(Status::kVersion, "there is no migration from workspace format " + std::to_string(format));
      }
      connection_->Execute(step->sql);
      ++format;
      connection_->Execute("PRAGMA user_version = " + std::to_string(format));
    }
    connection_->Execute("COMMIT");
  } catch (...) {
    if (sqlite3_get_autocommit(connection_->handle()) == 0) connection_->Execute("ROLLBACK");
    throw;
  }
  ClaimHost();
}

void Database::Suspend() {
  CheckFork();
  std::lock_guard lock(mutex_);
  connection_.reset();
}

void Database::Checkpoint() {
  CheckFork();
  std::lock_guard lock(mutex_);
  if (read_only_ || network_) return;
  if (!connection_) Connect();
  connection_->Prepare("PRAGMA wal_checkpoint(TRUNCATE)").Run();
}

Database::Session::Session(Database *database, bool write) : database_(database) {
  database_->CheckFork();  // before the lock: in a child its owner may not exist
  lock_ = std::unique_lock(database_->mutex_);
  if (write && database_->read_only_) {
    const std::string &root = database_->layout_.Root();
    if (database_->newer_) {
      throw Error(Status::kVersion,
                  "the workspace '" + root + "' is open read-only, because its format is newer than " +
                      std::to_string(database_->options_.format) + ": use a newer trainyard to change it",
                  {{"path", root}});
    }
    throw Error(Status::kPermission,
                "the workspace '" + root + "' cannot be written (no permission, or a read-only file system): nothing " +
                    "can be changed",
                {{"path", root}});
  }
  if (!database_->connection_) database_->Connect();
  database_->connection_->Prepare(write ? "BEGIN IMMEDIATE" : "BEGIN").Run();
  open_ = true;
}

void Database::Session::Commit() {
  database_->connection_->Prepare("COMMIT").Run();
  open_ = false;
}

Database::Session::~Session() {
  if (!open_) return;
  try {
    // After some failures SQLite has rolled back already.
    if (sqlite3_get_autocommit(database_->connection_->handle()) == 0) database_->connection_->Execute("ROLLBACK");
  } catch (const Error &error) {
    Log(LogLevel::kError, error.what());
  }
}

}  // namespace trainyard
