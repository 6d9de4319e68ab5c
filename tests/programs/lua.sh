# Tables, closures, strings, coroutines, and the collector.
lua5.4 - <<'LUA'
local words, sum = {}, 0
for i = 1, 200000 do
    local word = string.format("%x%s", i * 7919 % 100003, string.rep("x", i % 20))
    words[word] = (words[word] or 0) + i
    if i % 1000 == 0 then for k in pairs(words) do if #k % 3 == 0 then words[k] = nil end end end
end
local keys = {}
for k, v in pairs(words) do keys[#keys + 1] = k; sum = sum + v end
table.sort(keys)
print(#keys, sum, keys[1], keys[#keys], #table.concat(keys))
local function tree(depth) if depth == 0 then return {} end return { tree(depth - 1), tree(depth - 1) } end
local function count(t) local n = 1; for _, c in ipairs(t) do n = n + count(c) end return n end
for round = 1, 10 do io.write(count(tree(15)), " ") end
local generate = coroutine.wrap(function() for i = 1, 100000 do coroutine.yield({ i }) end end)
for i = 1, 100000 do sum = sum + generate()[1] end
print(sum)
LUA
