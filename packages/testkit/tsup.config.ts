import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts', 'differential/index': 'src/differential/index.ts' })
export default build
