# Many small objects of Python's.
python3 - <<'PYTHON'
import collections, hashlib, json, random
random.seed(7)
words = [''.join(random.choice('abcdefgh') for _ in range(random.randint(1, 30))) for _ in range(60000)]
count = collections.Counter(words)
tree = {}
for word in words:
    node = tree
    for letter in word:
        node = node.setdefault(letter, {})
text = json.dumps([count.most_common(1000), tree], sort_keys=True)
for round in range(3):
    print(len(text), hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest())
PYTHON
