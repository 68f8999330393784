// What a program says of a run that it executes itself. Thread rule: a value.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace trainyard {

struct HostRunOptions {
  std::string run_id;  // empty = made
  std::string display_name;
  std::string parent_id;         // empty = none
  std::string source_directory;  // kept as the run's snapshot; empty = none
  std::map<std::string, std::string> tags, properties;

  // Throws Error::InvalidArgument.
  void Check() const;
};

// {"run_id","display_name","parent","source_directory","tags","properties"}; empty text = nothing.
HostRunOptions HostRunOptionsFromJson(std::string_view text);

}  // namespace trainyard
