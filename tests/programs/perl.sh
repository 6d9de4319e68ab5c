# Hashes of strings and of hashes, regular expressions, sorting.
perl -e '
    use strict;
    use File::Glob ":bsd_glob"; # a space does not end a pattern
    my (%count, %by, @lines);
    for my $file (sort glob("$ENV{TOP}/docs/*.md"), sort glob("$ENV{TOP}/hakmem-*/src/*.rs")) {
        open my $in, "<", $file or die;
        while (<$in>) { push @lines, $_; $count{lc $1}++ while /(\w+)/g; push @{$by{length $_}{$.}}, $_ }
    }
    for my $round (1..20) { my %copy = map { $_ . $round => $count{$_} x 3 } keys %count; $count{substr $_, 0, 4} += 1 for keys %copy }
    print "$_ $count{$_}\n" for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0..500];
    print join(",", map { $_ . ":" . scalar keys %{$by{$_}} } sort { $a <=> $b } keys %by), "\n";
    my $text = join "", @lines; my $n = () = $text =~ s/(\w+)(\W+)(\w+)/$3$2$1/gr =~ /e/g; print "$n\n";
'
