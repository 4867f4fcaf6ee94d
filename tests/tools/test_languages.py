"""Which language a request is answered in: what it names, else what it is about."""

from __future__ import annotations

import pytest

from backend.tools.languages import detect_language

BASH = """
list files
List all files in the current directory
show me the hidden files
Show all .txt files here
what files are in this folder?
how many files are there in the directory?
count files by extension
disk usage
What is the disk usage of each folder?
how much free disk space is left
count lines in *.log with grep
Count the lines in all log files
number of lines in server.log
write a bash script that backs up a folder
Write a shell script to rotate logs
shell one-liner that prints the five largest files
give me a shell command to find empty directories
Use bash to loop over the input files and print their names
in bash, print the numbers from 1 to 10
Do it in the shell.
from the command line, join these two files
use awk to sum the second column of sales.csv
extract the third field with cut -d, from data.csv
grep ERROR in app.log and count by hour
sed: replace tabs by spaces in notes.txt
sort -u names.txt
cat access.log | sort | uniq -c
find the 10 largest files
find files larger than 10 MB
find all files modified in the last week
rename all .jpeg files to .jpg
delete empty folders
compress the folder reports into an archive
print the directory tree
what is the current working directory?
show the environment variables
which kernel version is this?
last 20 lines of server.log
search for errors in the log files
convert this Python script to bash: print('hi')
rewrite the python program as a bash script
bash script that runs python main.py for every input
A bash script which calls python
Write bash that prints the date
list files, do not use Python
count the lines of every file without pandas, in the shell
fix backup.sh
#!/bin/bash\\necho hi
Bash: print today's date
linux command to show file permissions
use `ls` to show what is here
bash로 파일 목록 보여줘
셸 스크립트로 로그를 정리해줘
파일 목록을 보여줘
What's in this directory?
Which files take up the most space?
Please list the files in the working directory with their sizes
how big is the folder logs
Could you show the file listing?
Create a bash one liner that replaces foo with bar in all txt files
Remove duplicate lines from names.txt using sort and uniq
write me a bash function that greets the user
zip all the log files
count how many times "timeout" occurs in the log
How many lines does app.log have?
print the last 10 lines of app.log
change the extension of all .htm files to .html
I want a shell script, not python, that renames files
make a cron job line for 3am
show permissions of the files
unzip archive.zip and list its files
use a for loop in bash to create ten files
tail -n 5 app.log
list the contents of the folder
how much space does each subfolder use
print every file name that ends in .conf
what shell command shows the disk usage?
Make me a script in bash for renaming photos by date
grep -r TODO . and count them per file
count the number of files in each directory
find all empty files
bash: loop over 1..5
display the biggest files in data/
""".strip().splitlines()

PYTHON = """
Write Python code to calculate prime numbers up to 100
primes below 1000
mean of column a in data.csv
plot the disk usage over time from usage.csv
list the files' columns
List the columns of all files
list the files and plot their sizes as a bar chart
bash the numbers
Let's bash out a quick forecast
plan a birthday bash for 20 people within a budget of 500
shell sort algorithm in python
implement shell sort
Explain shellsort by running it on [5, 2, 9]
Shell's share price over the last year from shell.csv
volume of a spherical shell
list files in python
using pandas, count the lines of each file
write a python function that lists all files in a folder
Python equivalent of grep
convert this bash script to Python: ls | wc -l
Translate my shell script into python
rewrite it in Python instead of bash
a Python program that runs a bash script
count rows in sales.csv
how many files were sold per day in uploads.csv
list all customers with more than 3 orders
Find duplicates in the table
find the files with the highest average and draw a chart
use os.walk to list files
show me the first 5 rows of the file
which file has the most columns?
count words in report.pdf
What is 2 + 2?
sort these names by length: Ann, Bob
group sales by region and show a histogram
simulate 1000 dice rolls
a function which counts lines in a file
find the head and the tail of the distribution
the tail of the distribution, as a plot
cat pictures: how many pixels are black?
use df to compute the mean
Compare the tables in both files
merge the two files on the key column
read all files and train a model
Monty Python sketches by year
average length of ball pythons from snakes.csv
run analysis.py and explain what it prints
solve x^2 = 2
Create and execute a Python script that reads the file named "a.txt" in the current directory
Run some python for me and list the files
I have an audio file named 'example.wav', make it louder
draw a directory tree as a graph
what is the trend of disk space in the data?
피보나치 수열을 계산해줘
파이썬으로 파일 목록 보여줘
Which column has the most missing values?
Generate a QR code image
how many lines are needed to cover the plane
List the planets by mass
Find the largest file size column average
count the vowels in this sentence
How many files would fit on a 4.7GB DVD if each is 3 MB?
show the distribution of ages
Create an Excel file with two sheets
Draw a shell spiral with matplotlib
turtle shell pattern drawing
write a class that models a bash shell prompt
sort the list [3,1,2]
make a table of squares
calculate the awkwardness index
convert the csv file to json
What does ls -la do in terms of a pie chart with pandas
remove outliers from the data file
list the files sorted by size in a dataframe
list all permutations of abc
find the shortest path in this graph
show the lines of the poem that rhyme
what is the biggest city
rename the columns of sales.xlsx
count unique values in the file
split the file into train and test
delete rows with nulls
how much money is left after 5 years
remove stop words from the text
compute md5 in python of all files
""".strip().splitlines()


@pytest.mark.parametrize("request_", BASH)
def test_work_with_the_shell_is_bash(request_: str) -> None:
    assert detect_language(request_.replace("\\n", "\n")) == "bash"


@pytest.mark.parametrize("request_", PYTHON)
def test_everything_else_is_python(request_: str) -> None:
    assert detect_language(request_) == "python"


@pytest.mark.parametrize("request_", ["", " \n", "\0", "?" * 1000, "\ud800 bash"])
def test_any_text_has_a_language(request_: str) -> None:
    assert detect_language(request_) == "python"


def test_long_requests_are_judged_by_their_ends() -> None:
    data = "a,b\n1,2\n" * 20_000
    assert detect_language(f"in bash, count these:\n{data}") == "bash"
    assert detect_language(f"{data}\ncount these in bash") == "bash"


@pytest.mark.parametrize(
    "piece", ["list all ", "the ", "count the number of ", "find a ", "not a the ", "in the "]
)
def test_a_request_made_to_take_long_is_answered(piece: str) -> None:
    assert detect_language(piece * 5000) == "python"
