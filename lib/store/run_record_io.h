// Run records as rows and JSON columns; used by run_store.cc only. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "core/run.h"
#include "store/database.h"

namespace trainyard {

// Columns in the order that ReadRun expects, of table `runs`.
extern const char kRunColumns[];
RunRecord ReadRun(const Statement &row);

std::string ErrorToText(const RunError &error);  // "" for no error
RunError ErrorFromText(const std::string &text);
std::string WarningsToText(const std::vector<std::string> &warnings);  // "" for none
std::vector<std::string> WarningsFromText(const std::string &text);
std::string IdentityToText(const ProcessIdentity &identity);
ProcessIdentity IdentityFromText(const std::string &text);

}  // namespace trainyard
