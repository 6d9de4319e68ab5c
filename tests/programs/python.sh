# A part of Python's own tests, where they are installed, and threads with small objects.
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
import hashlib, json, threading
results = [None] * 4
def work(number):
    tree = {str(n): {"words": list(range(n % 20))} for n in range(5000)}
    results[number] = hashlib.sha256(json.dumps(json.loads(json.dumps(tree)), sort_keys=True).encode()).hexdigest()
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(results)
PYTHON
