# A joined server as a script of the shell. $NAME is its name, $TOOLS the names of its tools, one
# line each; what a tool does follows from its name.
say() { printf '%s\n' "$1"; }
gives() { say '{"jsonrpc":"2.0","id":'"$id"',"result":'"$1"'}'; }
text() { gives '{"content":[{"type":"text","text":"'"$1"'"}]}'; }
noted() { say '{"jsonrpc":"2.0","method":"notifications/'"$1"'","params":'"$2"'}'; }
[ -n "$LATE" ] && exec sleep "$LATE"
[ -n "$TOLD" ] && echo "$NAME starts" >> "$TOLD"
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\),"method".*/\1/p')
  case $line in
  *'"method":"server/discover"'*)
    say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"what?"}}';;
  *'"method":"initialize"'*)
    can='"capabilities":{"tools":{"listChanged":true},"logging":{}}'
    who='"serverInfo":{"name":"'"$NAME"'","version":"1"}'
    gives '{"protocolVersion":"2025-11-25",'"$can,$who"'}';;
  *'"method":"tools/list"'*)
    list=
    for tool in $TOOLS; do
      about=${ABOUT:-does $tool}
      [ -n "$CHANGED" ] && [ -e "$CHANGED" ] && about="$about, and more"
      schema='{"type":"object","$defs":{"t":{"properties":{"t":{"$ref":"#/$defs/t"}}}}}'
      [ -n "$SCHEMA" ] && schema=$SCHEMA
      list="$list,"'{"name":"'"$tool"'","description":"'"$about"'","inputSchema":'"$schema"'}'
    done
    gives '{"tools":['"${list#,}"']}';;
  *'"name":"echo"'*)
    text "$(printf '%s' "$line" | sed -n 's/.*"say":"\([^"]*\)".*/\1/p')";;
  *'"name":"steps"'*)
    token=$(printf '%s' "$line" | sed -n 's/.*"progressToken":\([0-9]*\).*/\1/p')
    noted progress '{"progressToken":'"$token"',"progress":1,"total":2}'
    noted message '{"level":"warning","data":"careful"}'
    text done;;
  *'"name":"asks"'*)
    say '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"who?"}}'
    IFS= read -r got
    text "$(printf '%s' "$got" | sed -n 's/.*"name":"\([^"]*\)".*/\1/p')";;
  *'"name":"big"'*)
    text "$(head -c 1100000 /dev/zero | tr '\0' x)";;
  *'"name":"dies"'*) echo "no more" >&2; exit 9;;
  *'"name":"hangs"'*) ;;
  *'"name":"fails"'*)
    why='"structuredContent":{"why":7},"_meta":{"at":"noon"},"strange":true'
    gives '{"content":[{"type":"text","text":"no luck"},{"type":"odd"}],"isError":true,'"$why"'}';;
  *'"name":"refuses"'*)
    say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32602,"message":"not so"}}';;
  *'"name":"breaks"'*)
    say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32603,"message":"out of ink"}}';;
  *'"name":"slow"'*) sleep 0.3; text slow;;
  *'"name":"garbles"'*) say 'this is no message'; say '{"half":'; text after;;
  *'"name":"deep"'*)
    open=$(printf '[%.0s' $(seq 300)) close=$(printf ']%.0s' $(seq 300))
    gives '{"content":[],"structuredContent":'"$open$close"'}';;
  *'"name":"env"'*) text "$(env | cut -d= -f1 | sort | tr '\n' ' ')";;
  *'"name":"pid"'*) text $$;;
  *'"name":"breeds"'*) sleep 600 <&- >&- 2>&- & text $!;;
  *'"name":"which'*)
    text "$(printf '%s' "$line" | sed -n 's/.*"name":"\(which[^"]*\)".*/\1/p')";;
  *'"name":"turns"'*) : > "$CHANGED"; noted tools/list_changed '{}'; text turned;;
  esac
done
