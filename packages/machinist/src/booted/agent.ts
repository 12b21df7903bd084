import { cpio } from '@machinist/boot'
import { INITTAB } from '../guest/scripts.ts'

/*
 * The agent: one shell loop in the guest for each virtio port named `machinist.agent.N`, which runs one command after the other.
 * It comes in a small archive behind the guest's initrd, with an inittab that starts it.
 *
 * When a loop begins it sends RS "ready" LF. A request is
 *
 *   token SP size SP command LF bytes     command: quoted for the shell, on one line; size: bytes of standard input that follow
 *
 * and the answer
 *
 *   RS token SP "p" SP process LF         it runs, as that process
 *   output bytes RS token SP "e" LF errors bytes RS token SP "x" SP status LF
 *
 * with RS the byte 0x1e, numbers in decimal. The token is new for each request, and the command is not told it. Output goes through files, so
 * the answer waits for the command and not for what it left running in the background.
 */

/** Commands that can run at the same time. */
export const AGENTS = 8

/** Bytes that are moved at once. */
const BLOCK = 65536

/** The name of the port of a loop. */
export function agentPort(index: number): string {
  return `machinist.agent.${String(index)}`
}

/** The device and its backends are built in the shell: nothing of an ordinary command costs a process but the command, and `cat` for its output. */
const AGENT = `#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/root LANG=C.UTF-8 USER=root
cd /root
work=/run/machinist
mkdir -p $work

serve() {
  exec 3<>"$1"
  count=0
  printf '\\036ready\\n' >&3
  while read -r token size command <&3; do
    eval "command=$command"
    count=$((count + 1)) file=$work/$2.$count input=/dev/null
    if [ $size -gt 0 ]; then
      input=$file.in
      : >$input
      [ $((size / ${BLOCK})) -gt 0 ] && dd bs=${BLOCK} count=$((size / ${BLOCK})) iflag=fullblock <&3 >>$input 2>/dev/null
      [ $((size % ${BLOCK})) -gt 0 ] && dd bs=$((size % ${BLOCK})) count=1 iflag=fullblock <&3 >>$input 2>/dev/null
    fi
    /bin/sh -c "$command" <$input >$file.out 2>$file.err 3>&- &
    printf '\\036%s p %d\\n' $token $! >&3
    wait $!
    status=$?
    [ -s $file.out ] && cat $file.out >&3
    printf '\\036%s e\\n' $token >&3
    [ -s $file.err ] && cat $file.err >&3
    printf '\\036%s x %d\\n' $token $status >&3
    rm -f $file.*
  done
}

for name in /sys/class/virtio-ports/*/name; do
  [ -f "$name" ] || continue
  port=$(cat "$name")
  case $port in
    machinist.agent.*) serve /dev/$(basename "$(dirname "$name")") \${port##*.} </dev/null & ;;
  esac
done
wait
`

/** The archive that brings the agent. */
export function agentInitrd(): Uint8Array {
  return cpio().directory('machinist', 0o700).file('machinist/agent', AGENT, 0o700).file('etc/inittab', `${INITTAB}::once:/machinist/agent\n`).toBytes()
}

/** A command that ends a process and all that it began, unless that has been left to `init`. */
export function killCommand(process: number): string {
  return `end() { kill -STOP $1; for at in $(grep -l "^[0-9]* (.*) [A-Z] $1 " /proc/[0-9]*/stat); do at=\${at#/proc/}; end \${at%/stat}; done; kill -KILL $1; }; end ${String(process)} 2>/dev/null`
}

/** Text as one word of the shell, on one line. Without NULs, which no argument holds. */
export function oneWord(text: string): string {
  return `$'${text.replace(/[\\'\n]/g, (letter) => letter === '\n' ? '\\n' : `\\${letter}`)}'`
}
