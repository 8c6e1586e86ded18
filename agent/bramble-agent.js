#!/usr/bin/env node
// The command `bramble-agent`, started by whatever Node the shell has; see broker/launch.js.
import { launch } from '../broker/launch.js'

await launch(new URL('./main.ts', import.meta.url))
