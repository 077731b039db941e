// What reads the three kinds of connections: of visitors, to Redis, to Firestore's emulator.
#pragma once

#include <memory>
#include <string>

#include "recorder.hpp"
#include "relay.hpp"

namespace sessions::inspector {

/// Between a visitor and the server. `server` is where the server should be.
std::unique_ptr<Tap> tap_visitor(Recorder& recorder, const std::string& server);

/// Between the server and Redis. Passwords in AUTH and HELLO are not recorded.
std::unique_ptr<Tap> tap_redis(Recorder& recorder);

/// Between the server and Firestore's emulator.
std::unique_ptr<Tap> tap_firestore(Recorder& recorder);

}  // namespace sessions::inspector
