import { Transform, type Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { concatInitrds } from '@machinist/boot'
import { type Given, VIRTIO_SLOTS } from '@machinist/boards'
import { type CharPort, isMachinistError, machinistError } from '@machinist/api'
import { type CharBackend, collector, nodeHost, openDiskImage, readWhole, sharedFolder, stream, terminal, unixSockets } from '@machinist/host-node'
import { type BackendDescriptor, createMachine, deviceTree, type DevicePart, type Machine, type MachineBlueprint, type MachineStats, parseDefinition, part } from '@machinist/machine'
import { imageDisk, limited, overlay } from '@machinist/storage'
import { type BalloonControl, balloonControl, virtio9p, virtio9pPci, virtioBalloon, virtioBalloonPci, virtioMmio, virtioPci, virtioPmem, virtioPmemPci, virtioVsock, virtioVsockPci } from '@machinist/virtio'
import { board, definedArchitecture, type Settled, settle } from './architecture.ts'
import { optimiseWhenWarm, withColdCore } from './engine-flags.ts'
import { NO_FIRMWARE, type RunOptions } from './arguments.ts'
import { type GdbListener, listenForGdb } from './gdb/listen.ts'
import { gdbTarget } from './gdb/option.ts'
import { balloonsOf, balloonText } from './balloon.ts'
import { bootDisk, bootImage, type DiskBoot, diskCommandLine } from './debian/index.ts'
import { type DiskChoice, openChoice } from './disk-option.ts'
import { dumpDtb } from './dump-dtb.ts'
import { EXEC_PORTS, execConsole } from './exec-ports.ts'
import { type ExecRequest, execRequest, guestCommandLine, prepareGuest, terminalProgress } from './guest/index.ts'
import { loadMachineFile } from './machine-file.ts'
import { pcMachine } from './pc-machine.ts'
import { pciDisks, virtioDisks } from './pci-disks.ts'
import { counted, openRecord, recordedText, type RecordingNote } from './recording/record.ts'
import { connects, desk, SCREEN, screenshot } from './screen/backends.ts'
import { TerminalScreen } from './screen/terminal-screen.ts'
import { beginTree, takeAtTerminal } from './snapshot/run-tree.ts'
import { restored, saveAndEnd, type TerminalCommand, terminalCommands } from './snapshot/save.ts'
import { liveText, statsText } from './stats.ts'
import { TimeMeter } from './time-shares.ts'
import { usageError } from './usage.ts'

/** Those of them that tell of the end of what the guest sends. */
const EXEC_ANSWERS = 3
/** What of the console is shown when a command never answered, in bytes. */
const CONSOLE_TAIL = 4096
/** RAM for the system of a disk, unless the user says otherwise, in bytes. */
export const DISK_MEMORY: number = 1 << 30
/** What shells report of a program whose reader went away: 128 and the number of SIGPIPE. */
const BROKEN_PIPE = 141
/** A kernel that says this is at its end, and then stands still. How often its console is searched for it, in milliseconds. */
const PANIC = 'Kernel panic - not syncing'
const PANIC_INTERVAL = 1000
/** Keys that start a PC over. */
const CTRL_ALT_DELETE = [29, 56, 111] as const
/** How often `--stats` tells how the machine runs, in milliseconds. */
const LIVE_INTERVAL = 1000
/** Keeps the process alive while a machine waits for input that only the terminal can bring. */
const KEEP_ALIVE = 2 ** 30

/** Tells every second how the machine runs. */
function showLive(machine: Machine, meter: TimeMeter, balloons: readonly BalloonControl[]): NodeJS.Timeout {
  let before: MachineStats | null = null
  return setInterval(() => {
    const { stats } = machine
    process.stderr.write(liveText(stats, before, meter.look(), balloons.map(balloonText)))
    before = stats
  }, LIVE_INTERVAL)
}

/** Takes a stream of the guest's command to where ours goes, no faster than that takes it; tells of its end. */
function carry(request: ExecRequest, to: Writable, ended: (status: number) => void): Transform {
  const through = new Transform({
    transform(bytes: Uint8Array, _encoding, done) {
      parser.push(bytes)
      done()
    },
  })
  // The stream is not in frames: it is what stands before the last one.
  const parser = request.output({ stdout() {}, stderr() {}, other: (bytes) => { through.push(bytes) }, exit: ended })
  through.pipe(to, { end: false })
  return through
}

/** What the disk that is to be booted has for that. What a machine starts from that was saved is in the snapshot. */
async function diskBoot({ bootDisk: disk, restore }: RunOptions): Promise<DiskBoot | null> {
  if (disk === undefined || restore !== undefined) return null
  const { path, mode: _, limits: __, opened, ...image } = disk
  return opened === undefined ? bootDisk(path, image) : bootImage(opened.image, path)
}

/** A kernel, its initrd and its command line, from the user or from Debian. */
async function images(options: Settled, boot: DiskBoot | null, request: ExecRequest | null): Promise<{ kernel?: Uint8Array; firmware?: Uint8Array; initrd?: Uint8Array; append?: string }> {
  if (options.restore !== undefined) return {}
  if (options.kernel !== undefined) {
    return {
      ...(options.kernel === 'none' ? {} : { [options.firmware === NO_FIRMWARE ? 'firmware' : 'kernel']: readWhole(options.kernel, '--kernel') }),
      ...(options.initrd !== undefined && { initrd: readWhole(options.initrd, '--initrd') }),
      append: options.append ?? `console=${options.console ?? 'ttyS0'}`,
    }
  }
  const { arch: architecture } = options
  if (boot !== null) {
    const { kernel, initrd, root } = boot
    return {
      kernel,
      ...(options.initrd !== undefined ? { initrd: readWhole(options.initrd, '--initrd') } : initrd !== null && { initrd }),
      append: diskCommandLine(root, { ...options, architecture }),
    }
  }
  const { progress, done } = terminalProgress(process.stderr)
  const guest = await prepareGuest({
    architecture,
    ...(options.quiet ? {} : { progress }),
    modules: [...options.balloon === undefined ? [] : ['virtio_balloon'] as const, ...options.pmems === undefined ? [] : ['virtio_pmem', 'nd_pmem'] as const, ...options.disks.some(({ bus }) => bus === 'nvme') ? ['nvme'] as const : []],
  }).finally(done)
  const initrd = readWhole(options.initrd ?? guest.initrd, options.initrd === undefined ? 'initrd' : '--initrd')
  const { rows, columns } = process.stdout
  return {
    kernel: readWhole(guest.kernel, 'kernel'),
    initrd: request === null ? initrd : concatInitrds([initrd, request.initrd]),
    append: guestCommandLine({
      architecture,
      console: 'ttyS0',
      shell: options.console,
      quiet: options.quiet || request !== null,
      // A virtio console knows its size.
      ...(process.stdout.isTTY && options.console === 'hvc0' ? { term: process.env['TERM'] } : process.stdout.isTTY ? { rows, columns, term: process.env['TERM'] } : {}),
      append: options.append,
    }),
  }
}

/** How many places there are for virtio devices, besides those that are asked for: on PCI, always some. */
export function freePlaces({ nets = [], disks, shares, vsock, balloon, pmems = [], exec, console, virtio }: RunOptions): number {
  // The entropy device has a place too, and so has the answer to a command.
  const taken = nets.length + virtioDisks(disks).length + pmems.length + shares.length + (vsock === undefined ? 0 : 1) + (balloon === undefined ? 0 : 1) + 1 + (exec === undefined ? 0 : 1) + (console === 'hvc0' ? 1 : 0)
  return virtio === 'pci' ? Infinity : VIRTIO_SLOTS - taken
}

/** What the machine is connected to: by itself, to the world, where it has a place for that. */
export function networks(options: RunOptions): readonly BackendDescriptor[] {
  return options.nets ?? (freePlaces(options) > 0 ? ['nat'] : [])
}

/** Persistent memory, as large as its disk. */
async function pmemPart({ path, mode, limits, opened, ...rest }: DiskChoice, virtio: RunOptions['virtio']): Promise<DevicePart> {
  const image = opened?.image ?? await openDiskImage(path, { ...rest, name: '--pmem', writable: mode === 'rw' })
  const whole = opened?.disk ?? (mode === 'overlay' ? overlay(imageDisk(image)) : imageDisk(image))
  const disk = limits === undefined ? whole : limited(whole, limits)
  return part(virtio === 'pci' ? virtioPmemPci : virtioPmem, { config: { size: image.size }, backends: { disk } })
}

async function plan(given: RunOptions, request: ExecRequest | null, console: Given<CharPort>, answers: readonly CharBackend[]): Promise<MachineBlueprint> {
  if (given.machineFile !== undefined) return override(await loadMachineFile(given.machineFile), given)
  const boot = given.board === 'pc' ? null : await diskBoot(given)
  const options = settle(given, boot?.architecture ?? (given.restore === undefined ? null : definedArchitecture(parseDefinition(given.restore.definition))))
  const backends = Object.fromEntries(EXEC_PORTS.map((name, index) => [name, answers[index] ?? 'null']))
  const pmems = await Promise.all((options.pmems ?? []).map((disk) => pmemPart(disk, options.virtio)))
  const devices = {
    ...(request !== null && { exec: part(options.virtio === 'pci' ? virtioPci(execConsole) : virtioMmio(execConsole), { backends: { console: 'null', ...backends } }) }),
    ...Object.fromEntries(options.shares.map(({ path, tag, readOnly }, index) =>
      [`share${index}`, part(options.virtio === 'pci' ? virtio9pPci : virtio9p, { config: { tag }, backends: { files: sharedFolder(path, { name: '--share', readOnly }) } })])),
    ...(options.balloon !== undefined && {
      balloon: part(options.virtio === 'pci' ? virtioBalloonPci : virtioBalloon, { config: options.balloon.config, backends: { host: balloonControl({ target: options.balloon.target }) } }),
    }),
    ...await pciDisks(options.disks),
    ...Object.fromEntries(pmems.map((pmem, index) => [`pmem${index}`, pmem])),
    ...(options.vsock !== undefined && { vsock: part(options.virtio === 'pci' ? virtioVsockPci : virtioVsock, { backends: { host: unixSockets(options.vsock, { name: '--vsock' }) } }) }),
  }
  const nets = networks(options).map((net) => ({ net, config: {} }))
  if (options.board === 'pc') return pcMachine(options, { console: atScreen(options) ? 'null' : console, nets, devices })
  const disks = await Promise.all(virtioDisks(options.disks).map(openChoice))
  return board(options.arch, {
    ...await images(options, boot, request),
    ...(options.memory !== undefined ? { memory: options.memory } : options.bootDisk !== undefined && { memory: DISK_MEMORY }),
    ...(options.harts !== undefined && { harts: options.harts }),
    nets,
    disks,
    // The kernel's messages, and the SBI's, go where the shell is.
    ...(options.console === 'hvc0' ? { virtioConsole: console, console: { type: 'share' as const, with: 'hvc.console' } } : { console }),
    devices,
    ...(options.firmware !== undefined && options.firmware !== NO_FIRMWARE && { firmware: readWhole(options.firmware, '--firmware') }),
    virtio: options.virtio,
    ...(options.interrupts !== undefined && { interrupts: options.interrupts }),
  })
}

/** Whether the terminal is to show the screen of a PC. */
function atScreen({ console = process.stdout.isTTY ? 'screen' : 'ttyS0' }: RunOptions): boolean {
  return console === 'screen'
}

/** A machine file's definition with what the command line says of booting. */
function override(blueprint: MachineBlueprint, options: RunOptions): MachineBlueprint {
  const { kernel, initrd, firmware, append } = options
  if (kernel === undefined && initrd === undefined && firmware === undefined && append === undefined) return blueprint
  const { boot } = blueprint.definition
  if (boot?.protocol === 'x86') {
    if (firmware !== undefined) throw machinistError({ code: 'run-option', part: '--firmware', value: firmware, remedy: 'Leave it out.' }, 'the machine of the file has no place for firmware')
    return {
      ...blueprint,
      definition: {
        ...blueprint.definition,
        boot: { ...boot, ...(kernel !== undefined && { kernel: readWhole(kernel, '--kernel') }), ...(initrd !== undefined && { initrd: readWhole(initrd, '--initrd') }), ...(append !== undefined && { append }) },
      },
    }
  }
  return {
    ...blueprint,
    definition: {
      ...blueprint.definition,
      boot: {
        ...(boot?.protocol === 'riscv' ? boot : {}),
        protocol: 'riscv',
        ...(kernel !== undefined && { [firmware === NO_FIRMWARE ? 'firmware' : 'kernel']: readWhole(kernel, '--kernel') }),
        ...(initrd !== undefined && { initrd: readWhole(initrd, '--initrd') }),
        ...(firmware !== undefined && firmware !== NO_FIRMWARE && { firmware: readWhole(firmware, '--firmware') }),
        ...(append !== undefined && { append }),
      },
    },
  }
}

/**
 * Runs a machine to its end.
 *
 * @param observe - is given the machine before it starts; what it returns is called when it has ended
 * @returns the exit status
 * @throws typed errors, before the machine starts
 */
export async function run(options: RunOptions, observe?: (machine: Machine) => () => void): Promise<number> {
  if (options.console === 'screen' && !process.stdout.isTTY) throw usageError('--console', 'the output is no terminal, so nothing would show the screen', 'Leave it out, or use --screenshot.', options.console)
  const holder: { machine: Machine | null; status: number | undefined } = { machine: null, status: undefined }
  const tail = collector(CONSOLE_TAIL)
  const leave = (): void => {
    process.stderr.write('\r\n')
    holder.machine?.powerOff(0)
  }
  const prepared = options.kernel === undefined && options.bootDisk === undefined && options.machineFile === undefined && options.board === undefined
  const { save, tree } = options
  const saving = (): void => { if (save !== undefined && holder.machine !== null) void saveAndEnd(holder.machine, save) }
  const seen = desk()
  let view: TerminalScreen | null = null
  const shooting = (): void => {
    try {
      if (options.screenshot !== undefined && !screenshot(seen.display, options.screenshot)) process.stderr.write(`machinist: the machine has shown nothing yet, so ${options.screenshot} is not written\n`)
    } catch (error) {
      process.stderr.write(`machinist: ${isMachinistError(error) ? error.message : String(error)}\n`)
    }
  }
  // What these say is not to be drawn over.
  const saying = (text: string, work: () => void) => (): void => {
    view?.cover(text)
    work()
  }
  const commands: TerminalCommand[] = [
    ...save === undefined ? [] : [{ key: 's', text: 'save the machine, and end it', work: saying('Saving', saving) }],
    ...tree === undefined ? [] : [{ key: 't', text: 'take a snapshot of the machine', work: saying('Taking a snapshot', () => { void takeAtTerminal(tree) }) }],
    ...options.screenshot === undefined ? [] : [{ key: 'p', text: `write what the screen shows into ${options.screenshot}`, work: shooting }],
    ...options.board === undefined ? [] : [{ key: 'r', text: 'press Ctrl-Alt-Delete', work: () => { view?.press(CTRL_ALT_DELETE) } }],
  ]
  const help = (text: string): void => { if (view === null) process.stdout.write(text); else view.cover(text) }
  const shell = options.exec === undefined
    ? terminal({ onLeave: leave, endOfInput: options.inputEnd ?? (prepared ? 'eot' : 'ignore'), onCommand: terminalCommands(commands, help), farewell: () => view?.farewell() ?? '' })
    : tail
  const request = options.exec === undefined ? null : execRequest(options.exec)
  const answers: CharBackend[] = []
  const carriers: Transform[] = []
  if (request !== null) {
    // Whoever read the output has gone: so may the machine.
    const gone = (): void => {
      holder.status ??= BROKEN_PIPE
      holder.machine?.powerOff(0)
      for (const each of carriers) each.destroy()
    }
    process.stdout.on('error', gone)
    process.stderr.on('error', gone)
    let missing = EXEC_ANSWERS
    let answer = 0
    const ended = (): void => {
      // The command has ended: there is no need to wait for the guest to put itself to bed.
      if (--missing > 0) return
      holder.status ??= answer
      holder.machine?.powerOff(0)
    }
    const report = request.output({
      stdout: (bytes) => process.stdout.write(bytes),
      stderr: (bytes) => process.stderr.write(bytes),
      exit: (status) => {
        answer = status
        ended()
      },
    })
    carriers.push(carry(request, process.stdout, ended), carry(request, process.stderr, ended))
    answers.push(
      stream({ output: (bytes) => { report.push(bytes) } }),
      ...carriers.map((output) => stream({ output })),
      stream({ input: process.stdin }),
    )
  }
  const planned = await plan(options, request, shell, answers)
  const recording = options.record === undefined ? null : openRecord(options.record.path)
  const blueprint = recording === null ? planned : counted(planned)
  const host = nodeHost({ backends: { terminal: shell, ...seen.backends } })
  const [hasScreen, hasShell] = [connects(blueprint, SCREEN.screen), connects(blueprint, shell) || connects(blueprint, 'terminal')]
  if (options.screenshot !== undefined && !hasScreen) throw machinistError({ code: 'run-option', part: '--screenshot', value: options.screenshot, remedy: `Name the backend '${SCREEN.screen}' for a screen.` }, 'the machine of the file has no screen that could be shown')
  const tape = recording === null ? {} : { record: { sink: recording.sink, paced: true } }
  const machine = withColdCore(() => (options.restore === undefined ? createMachine(blueprint, host, tape) : restored(options.restore, blueprint, host, tape)))
  const endCold = optimiseWhenWarm(machine)
  if (options.dumpDtb !== undefined) {
    try {
      dumpDtb(deviceTree(machine.resolved, host), options.dumpDtb)
      return 0
    } finally {
      endCold()
      machine.dispose()
    }
  }
  holder.machine = machine
  const warnings: string[] = []
  machine.on('warn', ({ part: name, message }) => {
    if (warnings.length < 20) warnings.push(`${name}: ${message}`)
  })
  // A guest that starts over has lost the command.
  if (request !== null) machine.on('reset', () => { machine.powerOff(1) })
  if (options.exec === undefined && !options.quiet && process.stdin.isTTY && process.stderr.isTTY) {
    process.stderr.write('Ctrl-A X leaves the machine, Ctrl-A H shows help.\n')
  }
  const keepAlive = request === null
    ? setInterval(() => {}, KEEP_ALIVE)
    : setInterval(() => { if (tail.text().includes(PANIC)) machine.powerOff(1) }, PANIC_INTERVAL)
  // At an interactive console the guest has the screen; the figures come at the end.
  const balloons = options.stats ? balloonsOf(blueprint) : []
  const asking = balloons.length > 0 ? setInterval(() => { for (const balloon of balloons) balloon.askStats() }, LIVE_INTERVAL) : undefined
  const meter = options.stats ? new TimeMeter() : null
  const live = meter !== null && !(request === null && process.stdin.isTTY) ? showLive(machine, meter, balloons) : undefined
  let door: GdbListener | null = null
  let endTree: (() => void) | null = null
  const saveTimer = save?.after === undefined ? undefined : setTimeout(saving, save.after * 1000)
  try {
    if (options.gdb !== undefined) {
      door = await listenForGdb(machine, options.gdb)
      if (!options.quiet) process.stderr.write(`Debuggers connect with: target remote ${gdbTarget(door.address)}\n`)
    }
    if (tree !== undefined) endTree = await beginTree(tree, machine, options.snapshots?.path ?? '')
    const ended = observe?.(machine)
    const began = performance.now()
    // A port that is taken is known by then: better no machine than one that is not where it is looked for.
    await new Promise((resolve) => { setImmediate(resolve) })
    if (options.record !== undefined) {
      const about: RecordingNote = { program: 'machinist', lines: options.record.lines, ...(request !== null && { token: request.token }) }
      await recording?.begin(machine, { about, ...(options.restore !== undefined && { restored: options.restore }) })
    }
    if (hasScreen && !hasShell && process.stdout.isTTY) {
      view = new TerminalScreen(shell, seen)
      view.begin()
    }
    process.on('SIGUSR2', shooting)
    machine.start()
    if (options.gdbWait === true) machine.pause()
    const { status, error } = await machine.finished()
    ended?.()
    view?.end()
    shooting()
    for (const answer of answers) answer.flush()
    shell.flush()
    const elapsed = performance.now() - began
    const spent = meter?.end()
    const { stats } = machine
    const balloonTexts = balloons.map(balloonText)
    machine.dispose()
    // What the guest said last may still be on its way to a slow reader, and the end of the answer behind it.
    await Promise.all(carriers.map((each) => finished(each.end()).catch(() => {})))
    if (error !== null) process.stderr.write(`machinist: ${stats.retired === 0 ? '' : 'the machine stopped: '}${error.message}\n`)
    if (recording !== null && options.record !== undefined && !options.quiet) process.stderr.write(recordedText(stats.retired, options.record.path, recording.size))
    if (options.stats) process.stderr.write(`${warnings.map((line) => `warning: ${line}\n`).join('')}${statsText(stats, elapsed, spent, balloonTexts)}`)
    if (request === null || error !== null) return status
    if (holder.status !== undefined) return holder.status
    process.stderr.write(`machinist: --exec: the guest ended without an answer; the end of its console:\n${tail.text()}\n`)
    return 1
  } finally {
    endCold()
    view?.end()
    process.off('SIGUSR2', shooting)
    clearInterval(keepAlive)
    clearTimeout(saveTimer)
    clearInterval(live)
    clearInterval(asking)
    door?.close()
    endTree?.()
    machine.dispose()
    recording?.close()
    // A command that did not read its input to the end leaves it: nobody waits for more.
    if (request !== null && 'unref' in process.stdin) process.stdin.unref()
  }
}
