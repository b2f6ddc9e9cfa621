# Learn from complete rows, fill the holes of new ones, and compare two models on held-out rows.
printf 'os,arch,ok\nlinux,x86,true\nlinux,arm,true\nmac,arm,false\nmac,arm,true\nlinux,x86,true\nmac,x86,false\n' > train.csv
printf 'os,arch,ok\nlinux,,true\n,arm,false\n' > holes.csv
printf 'os,arch,ok\nlinux,x86,true\nmac,arm,true\nlinux,arm,false\n' > test.csv
ancestral fit tabular train.csv --smoothing 1 -o tables.model
ancestral fit orders train.csv --model tabular --random-state 0 -o orders.model
ancestral impute tables.model holes.csv
ancestral impute tables.model holes.csv --draws 3 --random-state 0 -o draws.csv
ancestral compare tables.model orders.model test.csv
