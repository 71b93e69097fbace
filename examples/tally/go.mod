module millstream.example/tally

go 1.21
