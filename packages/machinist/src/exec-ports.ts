import { consoleWith } from '@machinist/virtio'

/** The ports of a command's output and errors in the machine that `--exec` makes. */
export const EXEC_OUTPUT = 'machinist.exec.1'
export const EXEC_ERROR = 'machinist.exec.2'

/** All ports of `--exec`: how it went, standard output, standard error, and standard input. */
export const EXEC_PORTS = ['machinist.exec', 'machinist.exec.1', 'machinist.exec.2', 'machinist.exec.0'] as const

/** The device that has them. */
export const execConsole: ReturnType<typeof consoleWith> = consoleWith('virtio-exec', ['console', ...EXEC_PORTS])
