# A locked package that is asked for with extras by one package and without by another: pip, held to
# hashes, wants to find it under both names.
/^[A-Za-z0-9]/ { print_plain() ; plain = "" }
/^[A-Za-z0-9._-]+\[/ { plain = $0; sub(/\[[^]]*\]/, "", plain); print; next }
{ print; if (plain != "") plain = plain "\n" $0 }
END { print_plain() }
function print_plain() { if (plain != "") print plain }
