"""What Valkey computes: one scope's limits as several processes share them, in one atomic step."""

from __future__ import annotations

import hashlib
from typing import Final

# The state of a scope. A backlog (`r[period].b`) is what was used and not yet given back by time, in units times
# milliseconds: an exact whole number, which falls by the limit with each millisecond. A holder (`h[id]`) has leases of
# units (`o`) and of concurrent requests (`c`) until `x`. backlog + all leases <= limit, always; so what all of
# them use in any time t is at most limit + limit * t / period.
#
# KEYS: the scope. ARGV: channel, holder, its lease in ms, "1" when it has forgotten its leases, its sequence number,
# concurrent requests: the limit ("0": none), in flight, wanted, needed; then per rate: period in ms, limit, used,
# wanted, needed.
# Gives {whether others hold what is needed, concurrent requests, then per rate: units, backlog}, or {} for a command
# that is older than one already carried out.
EXCHANGE: Final = b"""
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me, ttl, fresh, sequence = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local raw, state = redis.pcall('GET', KEYS[1]), nil
if type(raw) == 'string' then
  local ok, found = pcall(cmsgpack.unpack, raw)
  if ok and type(found) == 'table' and found.v == 1 then state = found end
end
state = state or {v = 1, at = now, r = {}, h = {}}
local passed = now - state.at
if passed < 0 then
  for _, holder in pairs(state.h) do holder.x = holder.x + passed end
  passed = 0
end
state.at = now
for _, rate in pairs(state.r) do rate.b = math.max(0, rate.b - rate.l * passed) end
local function use(units)
  for period, amount in pairs(units) do
    local rate = state.r[period]
    if rate then rate.b = rate.b + amount * tonumber(period) end
  end
end
local mine = state.h[me]
if mine and sequence <= mine.s then return {} end
local gone = {}
for id, holder in pairs(state.h) do
  if holder.x <= now or (id == me and fresh) then gone[#gone + 1] = id end
end
for _, id in ipairs(gone) do
  use(state.h[id].o)
  state.h[id] = nil
end
mine = state.h[me] or {o = {}, c = 0}
local held, others = 0, {}
for id, holder in pairs(state.h) do
  if id ~= me then
    held = held + holder.c
    for period, amount in pairs(holder.o) do others[period] = (others[period] or 0) + amount end
  end
end
local short, answer, leases, longest, any = false, {0, 0}, {}, 0, false
local most, flying, wanted, needed = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local slots = 0
if most > 0 then
  slots = math.max(flying, math.min(wanted, mine.c), math.min(wanted, most - held))
  if slots < needed and held > 0 then short = true end
  answer[2] = slots
end
for at = 10, #ARGV, 5 do
  local period, limit, used = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local want, need, length = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at])
  local rate = state.r[period]
  if not rate then
    rate = {b = 0, l = limit}
    state.r[period] = rate
  elseif rate.l ~= limit then
    rate.b = math.ceil(rate.b * limit / rate.l)
    rate.l = limit
  end
  rate.b = math.max(0, rate.b + used * length)
  local had = math.max(0, (mine.o[period] or 0) - math.max(0, used))
  local left = math.floor((limit * length - rate.b) / length) - (others[period] or 0)
  local lease = math.max(0, math.min(want, left), math.min(want, had))
  if lease < need and (others[period] or 0) > 0 then short = true end
  if lease > 0 then
    leases[period] = lease
    any = true
  end
  answer[#answer + 1] = lease
  answer[#answer + 1] = string.format('%.0f', rate.b)
end
for _, rate in pairs(state.r) do longest = math.max(longest, math.ceil(rate.b / rate.l)) end
if any or slots > 0 then
  state.h[me] = {x = now + ttl, s = sequence, o = leases, c = slots}
else
  state.h[me] = nil
end
if next(state.h) then longest = math.max(longest, ttl) end
if longest > 0 then
  redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', longest + 1000)
else
  redis.call('DEL', KEYS[1])
end
if short then
  redis.call('PUBLISH', ARGV[1], me .. ' ' .. KEYS[1])
  answer[1] = 1
end
return answer
"""

# KEYS: the processes. ARGV: one of them, for how many ms it counts. Gives how many there are.
COUNT: Final = b"""
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]))
return redis.call('ZCARD', KEYS[1])
"""


def digest(script: bytes) -> str:
    """By which EVALSHA names it."""
    return hashlib.sha1(script).hexdigest()  # noqa: S324 - the server's own naming
