import { concatInitrds, cpio } from '@machinist/boot'
import { collector, fileDisk, nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { machinistError } from '@machinist/api'
import { consoleWith, virtioMmio, virtioPci } from '@machinist/virtio'
import { board, virtioOf } from '../architecture.ts'
import { execRequest, guestCommandLine } from '../guest/index.ts'
import type { GuestArchitecture, PreparedGuest } from '../guest/index.ts'
import type { GuestFile } from './files.ts'

const MEMORY = 1 << 30
const PORT = 'machinist.exec'
const CONSOLE_TAIL = 4096
const OUTPUT_TAIL = 2000
/** A kernel that says this is at its end, and then stands still. How often that is looked for, in milliseconds. */
const PANIC = 'Kernel panic - not syncing'
const PANIC_INTERVAL = 1000

/** Work for a guest that is started for it alone. */
export interface Job {
  readonly guest: PreparedGuest
  /** Of the guest, and of the machine that is made for it. */
  readonly architecture: GuestArchitecture
  /** Of busybox' shell. */
  readonly script: string
  /** For the script to copy: found below `/machinist/files`, with `root` and `root/.ssh` private. */
  readonly files: readonly GuestFile[]
  /** Found in `/machinist` itself. */
  readonly inputs?: readonly GuestFile[]
  readonly disks: readonly { readonly path: string; readonly readOnly?: boolean }[]
  /** Told of every line that the script writes. */
  readonly onLine?: (line: string) => void
}

function archive({ files, inputs = [] }: Job): Uint8Array {
  const writer = cpio().directory('machinist/files').directory('machinist/files/root', 0o700).directory('machinist/files/root/.ssh', 0o700)
  for (const [path, content, mode] of files) writer.file(`machinist/files/${path}`, content, mode)
  for (const [path, content, mode] of inputs) writer.file(`machinist/${path}`, content, mode)
  return writer.toBytes()
}

/**
 * Runs a script in a guest of our own, to its end.
 *
 * @throws a typed error `'debian-guest'`, with what the script wrote last, when it fails
 */
export async function runJob(job: Job): Promise<void> {
  const request = execRequest(job.script)
  const console = collector(CONSOLE_TAIL)
  let status: number | null = null
  let said = ''
  let rest = ''
  const take = (bytes: Uint8Array): void => {
    const text = Buffer.from(bytes).toString()
    said = (said + text).slice(-OUTPUT_TAIL)
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) job.onLine?.(line)
  }
  const output = request.output({ stdout: take, stderr: take, exit: (code) => { status = code } })
  const answer = stream({ output: (bytes) => { output.push(bytes) } })
  const { architecture } = job
  const exec = consoleWith('virtio-exec', ['console', PORT])
  const machine = createMachine(board(architecture, {
    kernel: readWhole(job.guest.kernel),
    // The files come first: the request adds to their folder.
    initrd: concatInitrds([readWhole(job.guest.initrd), archive(job), request.initrd]),
    append: guestCommandLine({ architecture, console: 'ttyS0', quiet: true }),
    memory: MEMORY,
    console,
    disks: job.disks.map(({ path, readOnly }) => fileDisk(path, { mode: readOnly === true ? 'ro' : 'rw' })),
    devices: { exec: part(virtioOf(architecture) === 'pci' ? virtioPci(exec) : virtioMmio(exec), { backends: { console: 'null', [PORT]: answer } }) },
  }), nodeHost())
  const watch = setInterval(() => { if (console.text().includes(PANIC)) machine.powerOff(1) }, PANIC_INTERVAL)
  try {
    machine.on('reset', () => { machine.powerOff(1) })
    machine.start()
    const { error } = await machine.finished()
    answer.flush()
    console.flush()
    if (error !== null) throw error
  } finally {
    clearInterval(watch)
    machine.dispose()
  }
  if (status === 0) return
  throw machinistError(
    { code: 'debian-guest', part: 'the guest that sets up the disk', value: status ?? 'none', remedy: 'Try again, or leave out packages that you added' },
    `failed, after\n${status === null ? console.text() : said}\nstatus`,
  )
}
