#pragma once

#include <string>
#include <vector>

#include "cli/client.h"

namespace kith {

enum class Format { kTable, kJson };

// Each prints to stdout and returns the exit status: 0, or 1 with one line on stderr.

int show_status(const AgentClient& agent, Format format);
int list_nodes(const AgentClient& agent, Format format);
int remove_nodes(const AgentClient& agent, const std::vector<std::string>& names);
int list_services(const AgentClient& agent, Format format);
int list_service_tasks(const AgentClient& agent, const std::vector<std::string>& services,
                       Format format);
/// `all`: those that have ended too.
int list_containers(const AgentClient& agent, bool all, Format format);
int explain_slot(const AgentClient& agent, const std::string& slot, Format format);
int show_events(const AgentClient& agent, bool follow, const std::string& since, Format format);
int list_conflicts(const AgentClient& agent, Format format);
int leave_cluster(const AgentClient& agent, bool keep_running);

}  // namespace kith
