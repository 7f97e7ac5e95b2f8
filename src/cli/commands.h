#pragma once

#include <string>
#include <vector>

#include "cli/client.h"

namespace kith {

enum class Format { kTable, kJson };

// Each prints to stdout and returns the exit status: 0, or 1 with one line on stderr.

int show_status(const AgentClient& agent, Format format);
int list_nodes(const AgentClient& agent, Format format);
/// `force`: bans them.
int remove_nodes(const AgentClient& agent, const std::vector<std::string>& names, bool force);
int list_services(const AgentClient& agent, Format format);
int list_service_tasks(const AgentClient& agent, const std::vector<std::string>& services,
                       Format format);
/// `all`: those that have ended too.
int list_containers(const AgentClient& agent, bool all, Format format);
int explain_slot(const AgentClient& agent, const std::string& slot, Format format);
int show_events(const AgentClient& agent, bool follow, const std::string& since, Format format);
int list_conflicts(const AgentClient& agent, Format format);
int list_keys(const AgentClient& agent, Format format);
/// `file`: holds 32 bytes in base64; empty: a fresh key.
int add_key(const AgentClient& agent, const std::string& file);
int use_key(const AgentClient& agent, const std::string& id, bool force);
int remove_keys(const AgentClient& agent, const std::vector<std::string>& ids, bool force);
/// Waits until the new key is the primary, and says what the old ones stay for.
int rotate_keys(const AgentClient& agent);
int leave_cluster(const AgentClient& agent, bool keep_running);

}  // namespace kith
