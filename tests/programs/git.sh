# This repository: history, a clone, repacking, checking.
git -C "$TOP" log -p --stat -M -n 60 | sha256sum
git -C "$TOP" grep -c -i -E 'alloc|block' | sort | sha256sum
git -C "$TOP" blame docs/SPEC.md | sha256sum
git clone -q --bare --no-local "$TOP" copy.git
git -C copy.git -c pack.threads=2 repack -q -a -d -f --window=20
git -C copy.git fsck --full --strict 2>&1 | grep -v '^notice' || true
git -C copy.git rev-parse HEAD
git -C copy.git archive HEAD | sha256sum
