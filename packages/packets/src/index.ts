export { ethernet, etherType } from './ethernet.ts'
