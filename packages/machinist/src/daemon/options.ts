import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** What a hypervisor may use of the host, and how it ends. */
const RUN = {
  processors: { type: 'string', forms: [['N', 'threads in which machines run; as many as there are CPUs, but 8 at most, unless given']] },
  memory: { type: 'string', forms: [['SIZE', 'memory of the host that machines share, such as 2G; no end unless given']] },
  'at-end': { type: 'string', offers: ['save', 'off'], forms: [['save|off', 'what becomes of machines at SIGTERM: saved, to go on with the next hypervisor (unless given), or switched off']] },
} as const
const STATUS = { json: { type: 'boolean', forms: [['', 'for programs']] } } as const
const STOP = {
  off: { type: 'boolean', forms: [['', 'switch machines off, in the place of saving them']] },
  within: { type: 'string', forms: [['SECONDS', 'with --off: how long guests have to switch themselves off; 0 unless given']] },
} as const

/** Options of `machinist daemon`. */
export const DAEMON_OPTIONS: typeof RUN & typeof STATUS & typeof STOP & typeof COMMON_OPTIONS = { ...RUN, ...STATUS, ...STOP, ...COMMON_OPTIONS }

/** Which of them go with which action. */
export const DAEMON_ACTIONS: Readonly<Record<'start' | 'run' | 'status' | 'stop', readonly string[]>> = {
  start: Object.keys(RUN), run: Object.keys(RUN), status: Object.keys(STATUS), stop: Object.keys(STOP),
}

const group = (options: CommandInfo['groups'][number]['options']): CommandInfo['groups'] => [{ title: 'Options', options: { ...options, ...COMMON_OPTIONS } }]
const FILES = 'The socket is $MACHINIST_SOCKET, else machinist/hypervisor.sock in $XDG_RUNTIME_DIR, else ~/.machinist/run/hypervisor.sock. Machines, pools, logs and saved machines are in $MACHINIST_STATE, else machinist in $XDG_STATE_HOME or ~/.local/state.'

/** The actions of `machinist daemon`, in the order of its help. */
export const DAEMON_COMMANDS: readonly CommandInfo[] = [
  {
    name: 'daemon start', summary: 'start the hypervisor in the background, unless it runs', usage: [['[options]']], groups: group(RUN),
    notes: ['There is one for each user. It has its machines again: those that ran when it was stopped go on, those that are marked so are started.', FILES],
  },
  {
    name: 'daemon run', summary: 'be the hypervisor in this process, for programs that look after services', usage: [['[options]']], groups: group(RUN),
    notes: ['SIGTERM and SIGINT end it in good order.'],
  },
  { name: 'daemon status', summary: 'show the hypervisor in the background, and what it found when it began', usage: [['[options]']], groups: group(STATUS), notes: ['The status is 3 when there is none.'] },
  {
    name: 'daemon stop', summary: 'end the hypervisor in the background', usage: [['[options]']], groups: group(STOP),
    notes: ['Machines that run are saved, and go on when it is started again.'], examples: ['--off --within 60'],
  },
]
