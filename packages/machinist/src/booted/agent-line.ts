import { randomBytes } from 'node:crypto'
import { type CharBackend, stream } from '@machinist/host-node'
import { machinistError } from '@machinist/api'
import { oneWord } from './agent.ts'

const RECORD_SEPARATOR = '\x1e'
const LINE_FEED = 0x0a
const TOKEN_BYTES = 16
/** The longest last line of an answer, and more. */
const LONGEST_MARK = 64
/** Output of one command that is kept, in bytes: what the guest says has an end. */
const MOST_OUTPUT = 256 * 2 ** 20

/** What a command gave. */
export interface Answer {
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
  readonly status: number
}

/** A command on its way. */
interface Request {
  readonly token: string
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** The host's end of one loop of the agent. */
export class AgentLine {
  readonly backend: CharBackend = stream({ output: (bytes) => { this.#take(bytes) } })
  readonly #onIdle: () => void
  #state: 'starting' | 'idle' | 'busy' | 'lost' = 'starting'
  #chunks: Uint8Array[] = []
  #length = 0
  #request: Request | null = null
  #process: number | null = null

  /** @param onIdle - told whenever it can take a command */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle
  }

  /** The loop waits for a command already, as in a copy of a guest where it did. */
  ready(): void {
    this.#state = 'idle'
  }

  /** It can take a command. */
  get idle(): boolean {
    return this.#state === 'idle'
  }

  /** It will never take one. */
  get lost(): boolean {
    return this.#state === 'lost'
  }

  /** Number of the process of the command that runs, once it is known. */
  get process(): number | null {
    return this.#process
  }

  /** Takes it for a command, if it is {@link idle}; {@link run} comes next. */
  claim(): boolean {
    if (this.#state !== 'idle') return false
    this.#state = 'busy'
    return true
  }

  /** Runs a command, on a line that was claimed. */
  run(command: string, stdin: Uint8Array): Promise<Answer> {
    const token = randomBytes(TOKEN_BYTES).toString('hex')
    this.backend.type(`${token} ${String(stdin.length)} ${oneWord(command)}\n`)
    if (stdin.length > 0) this.backend.type(stdin)
    return new Promise((resolve, reject) => { this.#request = { token, resolve, reject } })
  }

  /** Nothing will come of it any more. */
  abandon(error: Error): void {
    this.#state = 'lost'
    const request = this.#request
    this.#request = null
    this.#chunks = []
    request?.reject(error)
  }

  #take(bytes: Uint8Array): void {
    if (this.#state === 'lost' || this.#state === 'idle') return
    this.#chunks.push(bytes)
    this.#length += bytes.length
    if (this.#length > MOST_OUTPUT) {
      this.abandon(machinistError({ code: 'exec-output', part: 'exec', value: MOST_OUTPUT, remedy: 'Write it into a file, and read that in pieces.' }, 'a command wrote more than is kept'))
      return
    }
    if (this.#process === null && this.#state === 'busy') this.#takeStart()
    if (bytes.at(-1) === LINE_FEED) this.#takeEnd()
  }

  /** The line that says which process it is. */
  #takeStart(): void {
    const mark = `${RECORD_SEPARATOR}${this.#request?.token ?? ''} p `
    const all = this.#all()
    const end = all.indexOf(LINE_FEED)
    if (end < 0 || all.toString('latin1', 0, mark.length) !== mark) return
    this.#process = Number(all.toString('latin1', mark.length, end))
    this.#chunks = [all.subarray(end + 1)]
  }

  /** The last line, which ends whatever came before it. */
  #takeEnd(): void {
    const last = this.#tail().toString('latin1')
    if (this.#state === 'starting') {
      if (last.endsWith(`${RECORD_SEPARATOR}ready\n`)) this.#settle()
      return
    }
    const request = this.#request
    if (request === null || this.#process === null) return
    const mark = `${RECORD_SEPARATOR}${request.token} x `
    const at = last.lastIndexOf(mark)
    const status = at < 0 ? null : /^(\d{1,3})\n$/.exec(last.slice(at + mark.length))
    if (status === null) return
    const all = this.#all()
    const end = all.length - (last.length - at)
    const middle = `${RECORD_SEPARATOR}${request.token} e\n`
    const split = all.lastIndexOf(middle, end, 'latin1')
    if (split < 0) return
    const answer = { stdout: copy(all.subarray(0, split)), stderr: copy(all.subarray(split + middle.length, end)), status: Number(status[1]) }
    this.#settle()
    request.resolve(answer)
  }

  #settle(): void {
    this.#state = 'idle'
    this.#request = null
    this.#process = null
    this.#chunks = []
    this.#length = 0
    this.#onIdle()
  }

  #all(): Buffer {
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }

  /** The end of what came, without joining it all. */
  #tail(): Buffer {
    let length = 0
    let from = this.#chunks.length
    while (from > 0 && length < LONGEST_MARK) length += this.#chunks[--from]?.length ?? 0
    return Buffer.concat(this.#chunks.slice(from)).subarray(-LONGEST_MARK)
  }
}

/** A copy, so that a few bytes do not hold all that came. */
function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
