// The workspace's SQLite database: opening, locking, format versions, transactions.
//
// Local file systems: WAL, synchronous=FULL. Network file systems: rollback journal, and one host machine at a time.
//   workspace.lock   every process that has the workspace open holds a shared open-file-description lock on it. In it
//                    is the host record (JSON: hostname, boot_id), rewritten by whoever gets the lock exclusively; on a
//                    network file system another host's record under a held lock is refused. Migrations need it
//                    exclusively, which is how they never run while an older process lives.
//   user_version     format of the tables; table `meta`: min_reader, min_writer. A newer format than ours opens
//                    read-only when min_reader allows, else Error kVersion.
//   trainyard.db.bak-v<N>   copy made before the migration away from format N.
//
// Thread rule: Database is thread-safe (calls on one Database take turns). After fork() the child gets Error kForked.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/layout.h"
#include "util/fs.h"

struct sqlite3;
struct sqlite3_stmt;

namespace trainyard {

// A prepared statement in use: bind, step, read. Reset and unbound when it goes. Bound texts and blobs must outlive it.
class Statement {
 public:
  explicit Statement(sqlite3_stmt *statement) : statement_(statement) {}
  Statement(const Statement &) = delete;
  Statement &operator=(const Statement &) = delete;
  ~Statement();

  // Parameters from ?1 on, in order of the calls.
  Statement &Bind(int64_t value);
  Statement &Bind(double value);  // NaN is kept (as text), which SQLite itself would turn into NULL
  Statement &Bind(std::string_view value);
  Statement &Bind(const char *value) { return Bind(std::string_view(value)); }
  Statement &Bind(int value) { return Bind(static_cast<int64_t>(value)); }
  Statement &BindBlob(std::string_view value);
  Statement &BindNull();

  bool Step();  // true: a row
  void Run();   // Step to the end
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;
  std::string_view Blob(int column) const;  // valid until the next Step
  bool IsNull(int column) const;

 private:
  sqlite3_stmt *statement_;
  int next_ = 1;
};

// One open database file. Belongs to one thread at a time.
class Connection {
 public:
  Connection(const std::string &path, bool read_only);
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;
  ~Connection();

  // Kept for the connection's life and reused for the same text.
  Statement Prepare(const std::string &sql);
  // One or more statements, without parameters.
  void Execute(const std::string &sql);
  int64_t LastInsertId() const;
  int64_t Changes() const;
  void BackupTo(const std::string &path);
  sqlite3 *handle() const { return handle_; }

 private:
  sqlite3 *handle_ = nullptr;
  std::string path_;
  pid_t owner_;
  std::unordered_map<std::string, sqlite3_stmt *> statements_;
};

struct HostIdentity {
  std::string hostname;
  std::string boot_id;
};

struct Migration {
  int64_t from = 0;  // to from + 1
  std::string sql;
};

struct DatabaseOptions {
  bool create = true;  // make the workspace when the directory is absent or empty
  // Tests only.
  std::optional<HostIdentity> host;
  int64_t format = 0;                 // 0 = ours
  std::vector<Migration> migrations;  // in addition to ours
  int64_t lock_wait_ms = 5000;
};

class Database {
 public:
  Database(const Layout &layout, const DatabaseOptions &options = {});
  Database(const Database &) = delete;
  Database &operator=(const Database &) = delete;
  ~Database();

  // `work` runs in one transaction: committed (and synced) when it returns, rolled back when it throws. Write waits for
  // other writers up to 30 s, then Error kBusy. Not to be nested.
  template <typename Work>
  auto Read(Work &&work) {
    Session session(this, false);
    if constexpr (std::is_void_v<decltype(work(session.connection()))>) {
      work(session.connection());
      session.Commit();
    } else {
      auto result = work(session.connection());
      session.Commit();
      return result;
    }
  }
  template <typename Work>
  auto Write(Work &&work) {
    Session session(this, true);
    if constexpr (std::is_void_v<decltype(work(session.connection()))>) {
      work(session.connection());
      session.Commit();
    } else {
      auto result = work(session.connection());
      session.Commit();
      return result;
    }
  }

  // Closes the file and frees its memory (sleeping runners); the next Read or Write opens it again. Locks stay.
  void Suspend();
  // Moves what is in the write-ahead log into the database file.
  void Checkpoint();

  const Layout &layout() const { return layout_; }
  bool read_only() const { return read_only_; }
  bool network() const { return network_; }
  static int64_t Format();

 private:
  class Session {
   public:
    Session(Database *database, bool write);
    ~Session();
    Connection &connection() { return *database_->connection_; }
    void Commit();

   private:
    std::unique_lock<std::mutex> lock_;
    Database *database_;
    bool open_ = false;
  };

  void CheckFork() const;
  void LockWorkspace();
  void ClaimHost();
  void Connect();
  void PrepareFormat();
  void Migrate(int64_t from);

  Layout layout_;
  DatabaseOptions options_;
  pid_t owner_;
  std::mutex mutex_;  // guards connection_
  std::unique_ptr<Connection> connection_;
  UniqueFd lock_;
  bool read_only_ = false;
  bool newer_ = false;  // why it is read-only: the format; else for want of permission
  bool network_ = false;
};

}  // namespace trainyard
