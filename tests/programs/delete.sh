# C++: every form of operator delete, over types of many sizes and alignments, in threads that pass them on.
cat >delete.cpp <<'CPP'
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>
template <size_t Size, size_t Align> struct alignas(Align) Thing { unsigned char bytes[Size]; Thing() { bytes[0] = bytes[Size - 1] = 42; } };
struct Base { virtual ~Base() {} };
template <typename T> struct Derived : Base { T thing; };
static long checked;
template <typename T> void use(std::vector<std::unique_ptr<Base>> &kept) {
    T *one = new T, *many = new T[7];
    if ((uintptr_t)one % alignof(T) || (uintptr_t)many % alignof(T) || one->bytes[sizeof(one->bytes) - 1] != 42) abort();
    void *raw = ::operator new(sizeof(T), std::align_val_t(alignof(T)));
    ::operator delete(raw, sizeof(T), std::align_val_t(alignof(T)));
    ::operator delete(::operator new(sizeof(T)), sizeof(T));
    void *nothrow = ::operator new(sizeof(T), std::nothrow);
    ::operator delete(nothrow, std::nothrow);
    delete one;
    delete[] many;
    kept.emplace_back(new Derived<T>);
    checked += sizeof(T);
}
int main() {
    for (int round = 0; round < 300; round++) {
        std::vector<std::unique_ptr<Base>> kept;
        std::thread maker([&] {
            use<Thing<1, 1>>(kept); use<Thing<24, 8>>(kept); use<Thing<40, 16>>(kept); use<Thing<100, 32>>(kept);
            use<Thing<64, 64>>(kept); use<Thing<500, 128>>(kept); use<Thing<1000, 256>>(kept); use<Thing<3000, 512>>(kept);
            use<Thing<5000, 4096>>(kept); use<Thing<100000, 8>>(kept); use<Thing<70000, 16384>>(kept); use<Thing<3000000, 64>>(kept);
        });
        maker.join();
    }
    bool refused = false;
    try { volatile size_t huge = SIZE_MAX / 2; ::operator delete(::operator new(huge)); } catch (const std::bad_alloc &) { refused = true; }
    printf("%ld %d\n", checked, refused);
}
CPP
g++ -O1 -std=c++17 -fsized-deallocation -pthread -o delete delete.cpp
./delete
