#include "io/http_parser.h"

#include <llhttp/llhttp.h>

#include <string>

namespace kith {

struct HttpParser::Impl {
  llhttp_t parser;
  Kind kind;
  bool no_body = false;
  bool head_done = false;
  bool done = false;
  bool value_began = false;
  bool until_close = false;
  std::string raw;  // of the head
  std::string target;
  std::string reason;
  std::string method;
  HttpHeaders headers;
  HttpRequestHead request;
  HttpResponseHead response;
  Step* step = nullptr;

  static Impl& of(llhttp_t* parser) { return *static_cast<Impl*>(parser->data); }
  static const llhttp_settings_t& settings();
  int head_complete();
};

namespace {

template <class Head>
void fill_common(const llhttp_t& parser, HttpHeaders& headers, Head& head) {
  head.minor = parser.http_minor;
  head.chunked = (parser.flags & F_CHUNKED) != 0;
  if ((parser.flags & F_CONTENT_LENGTH) != 0) head.content_length = parser.content_length;
  head.headers = std::move(headers);
}

}  // namespace

int HttpParser::Impl::head_complete() {
  head_done = true;
  if (kind == Kind::kRequest) {
    fill_common(parser, headers, request);
    request.method = llhttp_method_name(static_cast<llhttp_method_t>(parser.method));
    request.target = std::move(target);
    request.upgrade = parser.upgrade != 0;
    request.keep_alive = llhttp_should_keep_alive(&parser) != 0;
    request.expects_continue = request.headers.has_token("Expect", "100-continue");
    split_target(request);
    return HPE_PAUSED;
  }
  fill_common(parser, headers, response);
  response.status = parser.status_code;
  response.reason = std::move(reason);
  if (no_body) parser.flags |= F_SKIPBODY;
  until_close = parser.status_code != 101 && llhttp_message_needs_eof(&parser) != 0;
  response.keep_alive = llhttp_should_keep_alive(&parser) != 0;
  return HPE_PAUSED;
}

const llhttp_settings_t& HttpParser::Impl::settings() {
  static const llhttp_settings_t table = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = [](llhttp_t* p, const char* at, size_t size) {
      of(p).target.append(at, size);
      return 0;
    };
    s.on_status = [](llhttp_t* p, const char* at, size_t size) {
      of(p).reason.append(at, size);
      return 0;
    };
    s.on_header_field = [](llhttp_t* p, const char* at, size_t size) {
      Impl& self = of(p);
      if (self.head_done) return 0;  // a trailer
      auto& fields = self.headers.fields;
      if (self.value_began || fields.empty()) fields.emplace_back();
      self.value_began = false;
      fields.back().first.append(at, size);
      return 0;
    };
    s.on_header_value = [](llhttp_t* p, const char* at, size_t size) {
      Impl& self = of(p);
      if (self.head_done) return 0;
      self.value_began = true;
      self.headers.fields.back().second.append(at, size);
      return 0;
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      of(p).value_began = true;  // an empty value is never begun
      return 0;
    };
    s.on_headers_complete = [](llhttp_t* p) { return of(p).head_complete(); };
    s.on_body = [](llhttp_t* p, const char* at, size_t size) {
      of(p).step->body.emplace_back(reinterpret_cast<const uint8_t*>(at), size);
      return 0;
    };
    s.on_message_complete = [](llhttp_t* p) -> int {
      of(p).done = true;
      return HPE_PAUSED;
    };
    return s;
  }();
  return table;
}

HttpParser::HttpParser(Kind kind, bool no_body) : impl_(new Impl) {
  impl_->kind = kind;
  impl_->no_body = no_body;
  llhttp_init(&impl_->parser, kind == Kind::kRequest ? HTTP_REQUEST : HTTP_RESPONSE,
              &Impl::settings());
  impl_->parser.data = impl_.get();
}

HttpParser::~HttpParser() = default;

Result<HttpParser::Step> HttpParser::step(ByteView bytes) {
  Impl& self = *impl_;
  Step step;
  if (self.done) {
    step.done = true;
    return step;
  }
  self.step = &step;
  const bool had_head = self.head_done;
  if (!had_head && self.raw.empty()) {
    // Stray line ends between messages are allowed and belong to neither.
    while (step.consumed < bytes.size() &&
           (bytes[step.consumed] == '\r' || bytes[step.consumed] == '\n')) {
      ++step.consumed;
    }
  }
  const auto text = as_text(bytes.subspan(step.consumed));
  if (had_head) llhttp_resume(&self.parser);
  const char* begin = text.data() != nullptr ? text.data() : "";
  const auto error = llhttp_execute(&self.parser, begin, text.size());
  size_t used = text.size();
  if (error != HPE_OK) {
    const char* at = llhttp_get_error_pos(&self.parser);
    used = at != nullptr && at >= begin && at <= begin + text.size()
               ? static_cast<size_t>(at - begin)
               : text.size();
  }
  step.consumed += used;
  self.step = nullptr;
  if (!had_head) {
    if (self.raw.size() + used > kMaxHttpHead) {
      return fail(ErrorCode::kTooLarge,
                  "the head is longer than " + std::to_string(kMaxHttpHead) + " bytes");
    }
    self.raw.append(text.substr(0, used));
    if (self.head_done) {
      (self.kind == Kind::kRequest ? self.request.raw : self.response.raw) = std::move(self.raw);
    }
  }
  step.head = !had_head && self.head_done;
  step.done = self.done;
  const bool paused = error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE;
  if (error != HPE_OK && !(paused && (step.head || step.done))) {
    const char* reason = llhttp_get_error_reason(&self.parser);
    return fail(ErrorCode::kInvalid, reason != nullptr ? reason : llhttp_errno_name(error));
  }
  return step;
}

bool HttpParser::finish() {
  Impl& self = *impl_;
  if (self.done) return true;
  if (!self.head_done || !self.until_close) return false;
  self.done = true;
  return true;
}

bool HttpParser::begun() const {
  return impl_->head_done || !impl_->raw.empty();
}
const HttpRequestHead& HttpParser::request() const {
  return impl_->request;
}
const HttpResponseHead& HttpParser::response() const {
  return impl_->response;
}
bool HttpParser::until_close() const {
  return impl_->until_close;
}

}  // namespace kith
