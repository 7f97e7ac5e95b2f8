#include "io/http_server.h"

#include <array>
#include <cstdio>
#include <utility>

#include "io/http_connection.h"

namespace kith {

HttpExchange::HttpExchange(std::weak_ptr<HttpConnection> connection, HttpRequestHead request)
    : connection_(std::move(connection)), request_(std::move(request)) {}

HttpExchange::~HttpExchange() {
  const auto connection = current();
  if (!connection || complete_) return;
  if (answered_) {
    connection->drop();
  } else {
    connection->abandon();
  }
}

std::shared_ptr<HttpConnection> HttpExchange::current() const {
  auto connection = connection_.lock();
  return connection && connection->serves(this) ? connection : nullptr;
}

bool HttpExchange::open() const {
  return current() != nullptr;
}

void HttpExchange::collect(size_t limit, std::function<void(Bytes)> then) {
  if (const auto connection = current()) connection->collect(limit, std::move(then));
}

void HttpExchange::stream(std::function<void(ByteView)> on_data, std::function<void()> on_end) {
  if (const auto connection = current()) {
    connection->deliver(false, std::move(on_data), std::move(on_end));
  }
}

void HttpExchange::raw(std::function<void(ByteView)> on_data, std::function<void()> on_end) {
  if (const auto connection = current()) {
    connection->deliver(true, std::move(on_data), std::move(on_end));
  }
}

void HttpExchange::pause_body() {
  if (const auto connection = current()) connection->pause_body(true);
}

void HttpExchange::resume_body() {
  if (const auto connection = current()) connection->pause_body(false);
}

void HttpExchange::on_abort(std::function<void(bool)> callback) {
  if (!complete_ && open()) on_abort_ = std::move(callback);
}

void HttpExchange::on_drain(std::function<void()> callback) {
  if (!complete_ && open()) on_drain_ = std::move(callback);
}

void HttpExchange::send(int status, HttpHeaders headers, std::string body) {
  const auto connection = current();
  if (!connection || answered_) return;
  answered_ = true;
  connection->decide_keep_alive(headers);
  const bool bodiless = status == 204 || status == 304;
  if (!bodiless) {
    if (!body.empty() && headers.find("Content-Type") == nullptr) {
      headers.add("Content-Type", "application/json");
    }
    headers.set("Content-Length", std::to_string(body.size()));
  }
  std::string bytes = format_response_head(status, {}, headers);
  if (!bodiless && request_.method != "HEAD") bytes += body;
  connection->write(bytes);
  connection->answer_complete(true);
}

void HttpExchange::begin(int status, HttpHeaders headers) {
  const auto connection = current();
  if (!connection || answered_) return;
  answered_ = true;
  bodiless_ = request_.method == "HEAD" || status == 204 || status == 304;
  chunked_ = request_.minor >= 1;
  if (!chunked_) headers.set("Connection", "close");  // the close is where the body ends
  connection->decide_keep_alive(headers);
  if (chunked_ && status != 204 && status != 304) headers.set("Transfer-Encoding", "chunked");
  connection->write(format_response_head(status, {}, headers));
}

bool HttpExchange::write(ByteView piece) {
  const auto connection = current();
  if (!connection || !answered_ || complete_) return false;
  if (bodiless_ || piece.empty()) return true;
  if (!chunked_) return connection->write(piece);
  std::array<char, 24> size{};
  const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", piece.size());
  std::string bytes(size.data(), static_cast<size_t>(length));
  bytes += as_text(piece);
  bytes += "\r\n";
  return connection->write(bytes);
}

void HttpExchange::end() {
  const auto connection = current();
  if (!connection || !answered_ || complete_) return;
  if (chunked_ && !bodiless_) connection->write("0\r\n\r\n");
  connection->answer_complete(true);
}

void HttpExchange::write_interim(ByteView head) {
  const auto connection = current();
  if (!connection || answered_) return;
  connection->told_to_continue();
  connection->write(head);
}

bool HttpExchange::write_raw(ByteView bytes) {
  const auto connection = current();
  if (!connection || complete_) return false;
  answered_ = true;
  return connection->write(bytes);
}

void HttpExchange::end_raw(bool keep_alive) {
  const auto connection = current();
  if (!connection || complete_) return;
  answered_ = true;
  HttpHeaders unsent;
  connection->decide_keep_alive(unsent);
  connection->answer_complete(keep_alive);
}

void HttpExchange::abort() {
  on_abort_ = nullptr;
  if (const auto connection = current()) connection->drop();
}

std::optional<HijackedStream> HttpExchange::hijack() {
  const auto connection = current();
  if (!connection || complete_) return std::nullopt;
  answered_ = true;
  complete_ = true;
  return connection->hijack();
}

HttpServer::HttpServer(Loop& loop, Handler handler, const HttpServerLimits& limits)
    : loop_(loop), handler_(std::make_shared<Handler>(std::move(handler))), limits_(limits) {}

HttpServer::~HttpServer() {
  while (!connections_.empty()) {
    const auto connection = connections_.begin()->second;
    connection->drop();
  }
}

void HttpServer::serve(ByteStream stream) {
  const bool full = connections_.size() >= limits_.max_connections;
  // Refused ones linger briefly; beyond a second helping of them nobody is even told.
  if (connections_.size() >= limits_.max_connections * 2) return;
  const auto connection = std::make_shared<HttpConnection>(*this, std::move(stream));
  connections_.emplace(connection.get(), connection);
  full ? connection->refuse() : connection->start();
}

}  // namespace kith
