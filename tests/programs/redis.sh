# A server on loopback, its own benchmark, and what is in it afterwards.
redis-server --port "$PORT" --bind 127.0.0.1 --save '' --appendonly no --daemonize no >server.log 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for try in $(seq 100); do redis-cli -p "$PORT" ping >/dev/null 2>&1 && break; sleep 0.1; done
redis-benchmark -p "$PORT" -q -n 40000 -c 20 -r 5000 -d 100 -t set,get,incr,lpush,rpop,sadd,hset,zadd,mset >benchmark.log
# How many requests a second is nothing to compare; which ones were made is.
tr '\r' '\n' <benchmark.log | grep 'requests per second' | sed 's/:.*//'
redis-cli -p "$PORT" eval '
    local n = 0
    for i = 1, 20000 do
        redis.call("set", "k" .. i, string.rep("v", i % 500)); redis.call("append", "k" .. (i % 100), "more")
        redis.call("rpush", "list" .. (i % 50), i); redis.call("hset", "hash", i, i * 2)
        if i % 3 == 0 then redis.call("del", "k" .. (i - 1)) end
    end
    for i = 1, 20000 do n = n + redis.call("strlen", "k" .. i) end
    return n' 0
redis-cli -p "$PORT" hlen hash
redis-cli -p "$PORT" bgsave >/dev/null
sleep 1
redis-cli -p "$PORT" lrange list7 0 -1 | sha256sum
redis-cli -p "$PORT" shutdown nosave 2>/dev/null || true
wait $server
