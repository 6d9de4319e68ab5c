# The C and the C++ compiler on programs with much in them; what they make is compared, and run.
cat >work.cpp <<'CPP'
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <unordered_map>
#include <vector>
template <int N> struct Tower { Tower<N - 1> below; std::map<int, std::vector<std::string>> of; int sum() { return N + below.sum(); } };
template <> struct Tower<0> { int sum() { return 0; } };
int main() {
    Tower<200> tower;
    std::unordered_map<std::string, std::shared_ptr<std::vector<int>>> all;
    for (int i = 0; i < 50000; i++) {
        std::ostringstream key; key << i * 7919 % 10007;
        auto &place = all[key.str()];
        if (!place) place = std::make_shared<std::vector<int>>();
        place->push_back(i);
    }
    long sum = 0;
    for (auto &pair : all) for (int i : *pair.second) sum += i;
    std::cout << tower.sum() << ' ' << all.size() << ' ' << sum << ' ' << std::regex_replace("a block, a list", std::regex("[aeiou]"), "*") << '\n';
}
CPP
{ for i in $(seq 2000); do echo "int f$i(int x) { int a[16]; for (int i = 0; i < 16; i++) a[i] = x * i + $i; return a[x & 15] ^ f(x + $i); }"; done; } >body
{ echo 'static int f(int x) { return x * 3; }'; cat body; } >work.c
gcc -O2 -c -o c.o work.c
g++ -O2 -std=c++17 -o cpp work.cpp
sha256sum c.o cpp
./cpp
