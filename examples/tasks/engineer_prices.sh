# Prices from a CSV: fit with errors, predict with an interval's width, and check the numbers as JSON.
printf 'size,rooms,price\n30,1,210\n55,2,330\n80,3,470\n70,3,400\n45,2,300\n90,4,500\n' > homes.csv
printf 'size,rooms\n60,2\n100,4\n' > new.csv
ancestral fit linear homes.csv --target price -o price.model
ancestral predict price.model new.csv --std
ancestral sample price.model --inputs new.csv -n 2 --random-state 0
ancestral score price.model homes.csv --target price --json
ancestral inspect price.model
