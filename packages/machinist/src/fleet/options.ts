import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

const JSON_OUTPUT = { json: { type: 'boolean', forms: [['', 'for programs']] } } as const
const NAMES_ONLY = { names: { type: 'boolean', forms: [['', 'names alone, a line each']] } } as const
const UP = {
  detach: { type: 'boolean', short: 'd', forms: [['', 'leave the machines to the hypervisor in the background, which is started if there is none, and return']] },
  processors: { type: 'string', forms: [['N', 'threads in which machines live, where a hypervisor is started; as many as there are CPUs, but 8 at most, by default']] },
  memory: { type: 'string', forms: [['SIZE', 'memory of the host that machines share, where a hypervisor is started, such as 2G; no end by default']] },
} as const
const TOP = {
  once: { type: 'boolean', forms: [['', 'one look at the machines, as text, and end']] },
  batch: { type: 'boolean', forms: [['', 'one look after the other, as text; also where standard output is no terminal']] },
  delay: { type: 'string', forms: [['SECONDS', 'time between two looks, from 0.1 to 3600; 2 by default']] },
  count: { type: 'string', forms: [['N', 'end after N looks']] },
  view: { type: 'string', offers: ['all', 'cpu', 'memory', 'io'], forms: [['all|cpu|memory|io', 'what is shown; all by default']] },
  sort: { type: 'string', forms: [['COLUMN', 'the column to sort by, such as used, ready or read; used by default']] },
  pools: { type: 'boolean', forms: [['', 'show pools instead of machines']] },
} as const
const FOLLOW = { follow: { type: 'boolean', short: 'f', forms: [['', 'go on as more comes, until Ctrl-C']] } } as const
const WITHIN = { within: { type: 'string', forms: [['SECONDS', 'how long a guest may take to switch itself off; 30 by default']] } } as const
const FROM = { from: { type: 'string', offers: 'file', forms: [['SNAPSHOT', 'go on from a snapshot, this once, instead of booting']] } } as const
const FORK = { pool: { type: 'string', forms: [['POOL', 'the pool of the copy; that of the machine by default']] } } as const
const LISTEN = {
  listen: { type: 'string', forms: [['[ADDRESS:]PORT', 'answer at http://ADDRESS:PORT/metrics until Ctrl-C; on this host alone unless an address is given']] },
  detach: { type: 'boolean', short: 'd', forms: [['', 'have the hypervisor in the background answer there, as long as it runs; without --listen, not any more']] },
} as const

/** Options of all commands about machines of a hypervisor together. */
export const FLEET_OPTIONS: typeof JSON_OUTPUT & typeof NAMES_ONLY & typeof UP & typeof TOP & typeof FOLLOW & typeof WITHIN & typeof FROM & typeof FORK & Omit<typeof LISTEN, 'detach'> & typeof COMMON_OPTIONS =
  { ...JSON_OUTPUT, ...NAMES_ONLY, ...UP, ...TOP, ...FOLLOW, ...WITHIN, ...FROM, ...FORK, listen: LISTEN.listen, ...COMMON_OPTIONS }

const options = (table: CommandInfo['groups'][number]['options'] = {}): CommandInfo['groups'] => [{ title: 'Options', options: { ...table, ...COMMON_OPTIONS } }]

const AMOUNTS = 'KEY is pool, restart (never, on-failure, always), autostart (yes, no), or cpu, memory, disk, space or network with .shares, .reservation or .limit. CPU is in processors (0.5 or 50%), memory and space in bytes (512M), disk and network in bytes a second. A limit may be none.'
const NAMES = 'NAME is that of a machine: machinist ps shows them.'

/** Commands about many machines on one host, in the order of the help. */
export const FLEET_COMMANDS: readonly CommandInfo[] = [
  {
    name: 'up', summary: 'run the machines that a file names, on one host that they share', usage: [['FILE [options]']], groups: options(UP), offers: 'file',
    notes: [
      'FILE is a machine file, or names several: {"machines": {"web": {"count": 3, "memory": "128M"}}}. Their consoles are shown together, and Ctrl-C stops them all; a second Ctrl-C pulls their plugs. With -d they run in the background.',
    ],
    examples: ['fleet.json', '-d fleet.json'],
  },
  { name: 'down', summary: 'stop machines and forget them', usage: [['[FILE]', 'those of FILE; without it all, and the hypervisor in the background with them']], groups: options(WITHIN), offers: 'file', examples: ['fleet.json'] },
  { name: 'ps', summary: 'list the machines', usage: [['[options]']], groups: options({ ...NAMES_ONLY, ...JSON_OUTPUT }), examples: [''] },
  {
    name: 'top', summary: 'show live what machines use of CPU, memory, disks and networks', usage: [['[options]']], groups: options({ ...TOP, ...JSON_OUTPUT }),
    notes: ['Keys: q ends; a, c, m, i show all, CPU, memory, disks and networks; p changes between machines and pools; < and > change the column to sort by, and r its direction; arrows move; h shows help.'],
    examples: ['', '--once --sort ready'],
  },
  {
    name: 'table', summary: 'show what every pool and machine reserves, is entitled to, uses and lacks', usage: [['[options]']], groups: options(JSON_OUTPUT), examples: [''],
  },
  {
    name: 'console', summary: 'connect this terminal with the console of a machine', usage: [['NAME']], offers: 'machine', groups: options(),
    notes: ['Every key goes to the guest, but for these: Ctrl-A X or Ctrl-A D leaves, and the machine goes on; Ctrl-A H shows help; Ctrl-A A sends Ctrl-A.'], examples: ['web-1'],
  },
  { name: 'logs', summary: 'show the last output of the console of a machine', usage: [['NAME [options]']], offers: 'machine', groups: options(FOLLOW), examples: ['-f web-1'] },
  { name: 'events', summary: 'tell what happened to machines: starts, ends, failures, moves', usage: [['[NAME] [options]']], offers: 'machine', groups: options({ ...FOLLOW, ...JSON_OUTPUT }), examples: ['-f'] },
  { name: 'start', summary: 'start machines that are off', usage: [['NAME… [options]']], offers: 'machine', groups: options(FROM), notes: [NAMES], examples: ['web-1 web-2'] },
  { name: 'stop', summary: 'ask guests to switch themselves off, and pull the plugs of those that do not', usage: [['NAME… [options]']], offers: 'machine', groups: options(WITHIN), notes: [NAMES, 'Its power button is pressed, and most systems switch themselves off then. The plug of a machine that has none, or is paused, is pulled at once. machinist events NAME tells which of the two it was.'], examples: ['web-1'] },
  { name: 'kill', summary: 'pull the plugs of machines at once', usage: [['NAME…']], offers: 'machine', groups: options(), notes: [NAMES], examples: ['web-1'] },
  { name: 'pause', summary: 'have machines stand still', usage: [['NAME…']], offers: 'machine', groups: options(), notes: [NAMES], examples: ['web-1'] },
  { name: 'resume', summary: 'have machines go on that were paused', usage: [['NAME…']], offers: 'machine', groups: options(), notes: [NAMES], examples: ['web-1'] },
  { name: 'reset', summary: 'start machines over, as their reset buttons would', usage: [['NAME…']], offers: 'machine', groups: options(), notes: [NAMES], examples: ['web-1'] },
  { name: 'rm', summary: 'forget machines; those that run lose power first', usage: [['NAME…']], offers: 'machine', groups: options(), notes: [NAMES], examples: ['web-1'] },
  { name: 'set', summary: 'change what a machine gets, while it runs', usage: [['NAME KEY=VALUE…']], offers: 'machine', groups: options(), notes: [AMOUNTS], examples: ['web-1 cpu.shares=2000 memory.limit=512M'] },
  { name: 'fork', summary: 'make a running copy of a machine', usage: [['NAME NEW [options]']], offers: 'machine', groups: options(FORK), examples: ['web-1 web-1-copy'] },
  { name: 'move', summary: 'take a machine to another processor while it runs', usage: [['NAME PROCESSOR']], offers: 'machine', groups: options(), examples: ['web-1 1'] },
  { name: 'pool add', summary: 'make a pool of machines', usage: [['PATH [KEY=VALUE…]']], groups: options(), notes: [AMOUNTS], examples: ['night cpu.shares=500'] },
  { name: 'pool set', summary: 'change what a pool gets', usage: [['PATH KEY=VALUE…']], groups: options(), notes: [AMOUNTS], examples: ['night cpu.limit=50%'] },
  { name: 'pool remove', summary: 'remove a pool in which there is nothing', usage: [['PATH']], groups: options(), examples: ['night'] },
  { name: 'pool list', summary: 'list the pools', usage: [['[options]']], groups: options(JSON_OUTPUT), examples: [''] },
  {
    name: 'metrics', summary: 'write what machines and pools use, as OpenMetrics text, for Prometheus', usage: [['[options]']], groups: options(LISTEN), examples: ['', '--listen 9100', '-d --listen 9100'],
  },
]
