/**
 * A machine that is as small as can be, for tests of what works with whole machines: a CPU of sixteen instructions in ECMAScript alone, an interrupt controller, and a
 * device with a console, a timer and a switch. It costs next to nothing, and is the same each time.
 */
export { assemble, constant, fakeCpu, op, work, type FakeConfig } from './testing/fake-cpu.ts'
export { gadget, hub, type HubConfig } from './testing/fake-devices.ts'
export { timedCpu, type TimedConfig } from './testing/timed-cpu.ts'
export { poke, say, switchOff, testGuests, testMachine } from './testing/guests.ts'
