import { randomBytes } from 'node:crypto'
import { machinistError } from '@machinist/api'
import { cpio } from '@machinist/boot'

/*
 * Running one command in the guest.
 *
 * The request travels in a small archive behind the guest's initrd, which Linux unpacks as it does the first one:
 *
 *   /machinist/exec     the command, a shell script
 *   /machinist/token    32 random hexadecimal digits
 *   /machinist/channel  optional: the character device for the answer, such as /dev/hvc0
 *
 * The answer comes as frames on that device; without one, on the virtio port named `machinist.exec` if there is one, and
 * else on the console, between whatever the kernel has to say. The command's standard input is a port named `machinist.exec.0`, which ends when
 * the host closes it; without one it has none. If there are ports named `machinist.exec.1` and
 * `machinist.exec.2`, standard output and standard error come there as they are, each with an "x" frame at its end; and the guest then
 * waits to be switched off by whoever has read all three ends, since Linux would drop what is on its way. A frame is
 *
 *   RS token SP stream SP length LF bytes     stream 1: standard output, 2: standard error
 *   RS token SP "x" SP status LF              the command has ended; nothing follows
 *
 * with RS the byte 0x1e, numbers in decimal. The token is new for each run: nothing that the command prints can look
 * like a frame, because it does not know the token. (It could read it from /machinist; a command that wants to deceive
 * its caller about its own output is free to.)
 */

const RECORD_SEPARATOR = 0x1e
const LINE_FEED = 0x0a
const TOKEN_BYTES = 16
/** The longest header: a stream, a space and a length after the token. */
const MAX_FIELDS = 16
/** The guest sends 32 000 bytes at a time; more than this was not sent by it. */
const MAX_FRAME = 65536

/** Where an {@link ExecOutput} delivers. */
export interface ExecSinks {
  /** Bytes of the command's standard output. */
  stdout(bytes: Uint8Array): void
  /** Bytes of its standard error. */
  stderr(bytes: Uint8Array): void
  /** Its exit status, 0 … 255; 128 + n when signal n ended it. */
  exit(status: number): void
  /** Everything else on the channel: the kernel's messages, if it is the console. */
  other?(bytes: Uint8Array): void
}

/** Reads the frames of one run. */
export interface ExecOutput {
  /** The exit status, once it has come. The guest then powers off by itself, unless it has ports for its output: see above. */
  readonly status: number | undefined
  /** Takes bytes from the channel, in pieces of any size. Holds back no more than one header. */
  push(bytes: Uint8Array): void
}

/** Begins to read the answer to the request with this token. */
export function execOutput(token: string, sinks: ExecSinks): ExecOutput {
  const marker = Buffer.concat([Buffer.from([RECORD_SEPARATOR]), Buffer.from(`${token} `, 'latin1')])
  let status: number | undefined
  /** A header that has begun, never longer than marker and fields. */
  let pending: Uint8Array = new Uint8Array(0)
  /** Bytes that are left of the frame, and where they go. */
  let left = 0
  let sink: (bytes: Uint8Array) => void = sinks.stdout

  const other = (bytes: Uint8Array): void => {
    if (bytes.length > 0) sinks.other?.(bytes)
  }
  /** How many bytes of `bytes` from `at` on a header may be: -1 when it is none, 0 when more are needed to tell. */
  const header = (bytes: Uint8Array, at: number): number => {
    for (let index = 0; index < marker.length; index++) {
      if (at + index >= bytes.length) return 0
      if (bytes[at + index] !== marker[index]) return -1
    }
    for (let index = marker.length; index < marker.length + MAX_FIELDS; index++) {
      if (at + index >= bytes.length) return 0
      if (bytes[at + index] === LINE_FEED) return index + 1
    }
    return -1
  }
  /** Acts on a header; false when its fields make no sense. */
  const begin = (fields: string): boolean => {
    const match = /^([12x]) (\d{1,6})\r?$/.exec(fields)
    const number = Number(match?.[2])
    if (match === null || number > (match[1] === 'x' ? 255 : MAX_FRAME)) return false
    if (match[1] === 'x') {
      status = number
      sinks.exit(number)
    } else {
      left = number
      sink = match[1] === '1' ? (bytes) => sinks.stdout(bytes) : (bytes) => sinks.stderr(bytes)
    }
    return true
  }

  return {
    get status(): number | undefined {
      return status
    },
    push(given: Uint8Array): void {
      const bytes = pending.length === 0 ? given : Buffer.concat([pending, given])
      pending = new Uint8Array(0)
      let at = 0
      while (at < bytes.length) {
        if (left > 0) {
          const take = Math.min(left, bytes.length - at)
          left -= take
          sink(bytes.subarray(at, at + take))
          at += take
          continue
        }
        const mark = status === undefined ? bytes.indexOf(RECORD_SEPARATOR, at) : -1
        if (mark < 0) return other(bytes.subarray(at))
        other(bytes.subarray(at, mark))
        const length = header(bytes, mark)
        if (length === 0) {
          pending = bytes.slice(mark)
          return
        }
        const fields = length < 0 ? '' : Buffer.from(bytes.subarray(mark + marker.length, mark + length - 1)).toString('latin1')
        if (length > 0 && begin(fields)) {
          at = mark + length
        } else {
          other(bytes.subarray(mark, mark + 1))
          at = mark + 1
        }
      }
    },
  }
}

/** A command for the guest. */
export interface ExecRequest {
  /** An archive to put behind the guest's initrd; see `concatInitrds` of `@machinist/boot`. */
  readonly initrd: Uint8Array
  /** What frames of the answer begin with. */
  readonly token: string
  /** Begins to read the answer. */
  output(sinks: ExecSinks): ExecOutput
}

/** Options of {@link execRequest}. */
export interface ExecOptions {
  /** The guest's device for the answer, such as `/dev/hvc0`; the console unless given. */
  readonly channel?: string | undefined
  /** At least eight hexadecimal digits; random unless given. */
  readonly token?: string | undefined
}

/** The archive that asks the guest to run `command`, a shell script. */
export function execInitrd(command: string, token: string, channel?: string): Uint8Array {
  if (command.includes('\0')) {
    throw machinistError({ code: 'exec-command', part: '--exec', remedy: 'Give text' }, 'a command cannot hold a NUL')
  }
  const archive = cpio().directory('machinist', 0o700).file('machinist/exec', `${command}\n`, 0o600).file('machinist/token', `${token}\n`, 0o600)
  if (channel !== undefined) archive.file('machinist/channel', `${channel}\n`, 0o600)
  return archive.toBytes()
}

/** Prepares to run `command`, a shell script, in a guest of {@link prepareGuest}. */
export function execRequest(command: string, options: ExecOptions = {}): ExecRequest {
  const token = options.token ?? randomBytes(TOKEN_BYTES).toString('hex')
  return {
    initrd: execInitrd(command, token, options.channel),
    token,
    output: (sinks: ExecSinks): ExecOutput => execOutput(token, sinks),
  }
}
