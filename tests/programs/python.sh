# A part of Python's own tests, where they are installed, and a program of many small objects.
if python3 -c 'import test.test_dict' 2>/dev/null; then
    python3 -m test -q test_dict test_list test_set test_json test_re test_unicode test_sort test_heapq test_deque \
        test_bytes test_array test_struct test_pickle test_zlib test_decimal test_fractions test_itertools test_generators \
        test_gc test_weakref test_threading test_queue test_subprocess test_ctypes test_sqlite3 test_xml_etree \
        test_collections test_functools test_memoryview test_tarfile test_zipfile test_hashlib test_csv test_datetime \
        test_codecs test_typing test_long test_float test_descr test_enum test_ast test_tokenize test_email \
        test_configparser test_copy test_dataclasses test_statistics test_bz2 test_lzma test_gzip \
        >log 2>&1 || true
    # Times and what failed with the system's allocator, too; the order of lines is that of the tests.
    grep -E '^(Total tests|    test_|Result)' log
fi
python3 - <<'PYTHON'
import collections, hashlib, json, random, re, threading
random.seed(7)
words = [''.join(random.choice('abcdefgh') for _ in range(random.randint(1, 30))) for _ in range(60000)]
count = collections.Counter(words)
tree = {}
for word in words:
    node = tree
    for letter in word:
        node = node.setdefault(letter, {})
text = json.dumps([count.most_common(100), tree], sort_keys=True)
results = [None] * 4
def work(number):
    results[number] = hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(text), results, len(re.findall(r'"[abc]": \{', text)))
PYTHON
