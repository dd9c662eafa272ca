// Package programs tests that no jq program and no payload takes more than a rule may:
// each ends with its result or in a typed error, within 250 ms and 128 MiB, in every
// way that Sluice runs programs.
package programs
