export { networkLimits } from './limits.ts'
