# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Lua script for Dovecot's own driver."""

# It sends what EGroupware's push server is told by the script that comes with
# it, by what is known of that: which event has which fields, which events are
# left out, and which are told together.
SCRIPT = r"""
local http = require "socket.http"
local ltn12 = require "ltn12"

local entry = "/private/vendor/vendor.dovecot/http-notify"

function dovecot_lua_notify_begin_txn(user)
  local value = user:metadata_get(entry)
  return {user = user, to = value and value:match("^user=(.*)$"),
          list = {}, by_key = {}}
end

-- As JSON. A table without names is an array.
local function encode(value)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c)
      return ("\\u%04x"):format(c:byte())
    end) .. '"'
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local parts = {}
  if next(value) == nil or #value > 0 then
    for i, item in ipairs(value) do parts[i] = encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, item in pairs(value) do
    table.insert(parts, encode(name) .. ":" .. encode(item))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Fill in the numbers of messages that these are the names of.
local function count(txn, item, names)
  local box = txn.user:mailbox(item.folder)
  box:sync()
  local numbers = box:status(dovecot.storage.STATUS_UNSEEN,
                             dovecot.storage.STATUS_MESSAGES)
  box:free()
  for _, name in ipairs(names) do
    item[name] = math.tointeger(numbers[name])
  end
end

-- What has the same key is told together.
local function tell(txn, event, key, fields, names)
  if not txn.to then return end
  key = event.name .. key
  local item = txn.by_key[key]
  local uid = math.tointeger(event.uid)
  if item then
    if type(item["imap-uid"]) == "table" then
      table.insert(item["imap-uid"], uid)
    else
      item["imap-uid"] = {item["imap-uid"], uid}
    end
  else
    item = fields
    item.user, item.event, item.folder = txn.to, event.name, event.mailbox
    item["imap-uidvalidity"] = math.tointeger(event.uid_validity)
    item["imap-uid"] = uid
    table.insert(txn.list, item)
    txn.by_key[key] = item
  end
  count(txn, item, names)
end

function dovecot_lua_notify_event_message_new(txn, event)
  tell(txn, event, "", {from = event.from, subject = event.subject,
                        snippet = event.snippet}, {"unseen", "messages"})
end

dovecot_lua_notify_event_message_append = dovecot_lua_notify_event_message_new

function dovecot_lua_notify_event_message_expunge(txn, event)
  tell(txn, event, "", {}, {"unseen", "messages"})
end

local function flags(txn, event, fields)
  if #event.flags + #event.keywords == 0 or
     #event.keywords == 1 and event.keywords[1] == "NonJunk" then
    return
  end
  fields.flags, fields.keywords = event.flags, event.keywords
  local seen = #event.flags == 1 and event.flags[1] == "\\Seen"
  tell(txn, event, encode({event.flags, event.keywords}), fields,
       seen and {"unseen"} or {})
end

function dovecot_lua_notify_event_flags_set(txn, event)
  flags(txn, event, {})
end

function dovecot_lua_notify_event_flags_clear(txn, event)
  flags(txn, event, {["flags-old"] = event.flags_old,
                     ["keywords-old"] = event.keywords_old})
end

function dovecot_lua_notify_end_txn(txn, success)
  for _, item in ipairs(txn.list) do
    local body = encode(item)
    http.request{url = "URL", method = "PUT",
                 headers = {["Content-Type"] = "application/json",
                            ["Content-Length"] = #body},
                 source = ltn12.source.string(body)}
  end
end
"""
