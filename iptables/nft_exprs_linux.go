package iptables

import (
	"net"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// reg is the only register that the rules need.
const reg = 1

// nf_conntrack's numbers, as in linux/netfilter/nf_conntrack_common.h.
const (
	ctStatusDNAT     = 1 << 5 // IPS_DST_NAT
	ctDirectionReply = 1      // IP_CT_DIR_REPLY
)

// matchExprs are the instructions for m, in the order of nftMatch.
func matchExprs(m Match) []expr.Any {
	var x exprs
	if m.In != "" {
		x.meta(expr.MetaKeyIIFNAME).equal(device(m.In))
	}
	if m.Out != "" {
		x.meta(expr.MetaKeyOIFNAME).equal(device(m.Out))
	}
	if m.Family != 0 {
		x.meta(expr.MetaKeyNFPROTO).equal([]byte{nfproto(m.Family)})
	}
	if m.Dst.IsValid() {
		x.destination(m.Dst)
	}
	x.proto(m)
	if m.Mark != 0 {
		x.meta(expr.MetaKeyMARK).equal(binaryutil.NativeEndian.PutUint32(m.Mark))
	}
	if m.UID != 0 {
		x.meta(expr.MetaKeySKUID).equal(binaryutil.NativeEndian.PutUint32(m.UID))
	}
	if m.GID != 0 {
		x.meta(expr.MetaKeySKGID).equal(binaryutil.NativeEndian.PutUint32(m.GID))
	}
	if m.ConnMark != 0 {
		x.ct(expr.CtKeyMARK).equal(binaryutil.NativeEndian.PutUint32(m.ConnMark))
	}
	if m.NotConnMark != 0 {
		x.ct(expr.CtKeyMARK).compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(m.NotConnMark))
	}
	if m.DNATed {
		x.ct(expr.CtKeySTATUS).and(binaryutil.NativeEndian.PutUint32(ctStatusDNAT)).compare(expr.CmpOpNeq, make([]byte, 4))
	}
	if m.Reply {
		x.ct(expr.CtKeyDIRECTION).equal([]byte{ctDirectionReply})
	}
	if m.NotLocalSrc {
		x.add(&expr.Fib{Register: reg, FlagSADDR: true, ResultADDRTYPE: true})
		x.compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL))
	}
	if m.NotLocalDst {
		x.add(&expr.Fib{Register: reg, FlagDADDR: true, ResultADDRTYPE: true})
		x.compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL))
	}
	if m.Transparent {
		x.add(&expr.Socket{Key: expr.SocketKeyTransparent, Register: reg})
		x.equal([]byte{1})
	}
	return x
}

func actionExprs(a Action) []expr.Any {
	var x exprs
	switch a.Kind {
	case Drop:
		x.add(&expr.Verdict{Kind: expr.VerdictDrop})
	case Jump:
		x.add(&expr.Verdict{Kind: expr.VerdictJump, Chain: a.Chain})
	case ToPort:
		x.load(binaryutil.BigEndian.PutUint16(a.Port))
		x.add(&expr.Redir{RegisterProtoMin: reg, RegisterProtoMax: reg, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED})
	case ToTProxy:
		x.load(binaryutil.BigEndian.PutUint16(a.Port))
		x.add(&expr.TProxy{Family: unix.NFPROTO_UNSPEC, TableFamily: unix.NFPROTO_INET, RegPort: reg})
		x.setMark(a.Mark)
		x.add(&expr.Verdict{Kind: expr.VerdictReturn})
	case SetMark:
		x.setMark(a.Mark)
	case SetConnMark:
		x.load(binaryutil.NativeEndian.PutUint32(a.Mark))
		x.add(&expr.Ct{Key: expr.CtKeyMARK, Register: reg, SourceRegister: true})
	default:
		x.add(&expr.Verdict{Kind: expr.VerdictReturn})
	}
	return x
}

// exprs builds a rule's instructions; its methods read like the rule.
type exprs []expr.Any

func (x *exprs) add(e expr.Any) *exprs {
	*x = append(*x, e)
	return x
}

func (x *exprs) meta(key expr.MetaKey) *exprs { return x.add(&expr.Meta{Key: key, Register: reg}) }

func (x *exprs) ct(key expr.CtKey) *exprs { return x.add(&expr.Ct{Key: key, Register: reg}) }

func (x *exprs) load(data []byte) { x.add(&expr.Immediate{Register: reg, Data: data}) }

func (x *exprs) equal(data []byte) { x.compare(expr.CmpOpEq, data) }

func (x *exprs) compare(op expr.CmpOp, data []byte) *exprs {
	return x.add(&expr.Cmp{Op: op, Register: reg, Data: data})
}

func (x *exprs) and(mask []byte) *exprs {
	n := uint32(len(mask))
	return x.add(&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: n, Mask: mask, Xor: make([]byte, n)})
}

func (x *exprs) setMark(mark uint32) {
	x.load(binaryutil.NativeEndian.PutUint32(mark))
	x.add(&expr.Meta{Key: expr.MetaKeyMARK, Register: reg, SourceRegister: true})
}

// proto matches the protocol, then what only it has: ports and flags.
func (x *exprs) proto(m Match) {
	if m.Proto == 0 {
		return
	}
	const dportOffset, flagsOffset = 2, 13 // in a TCP header; a UDP header's ports are there too
	x.meta(expr.MetaKeyL4PROTO).equal([]byte{byte(m.Proto)})
	if m.Ports != (PortRange{}) {
		x.add(&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: dportOffset, Len: 2})
		first, last := binaryutil.BigEndian.PutUint16(m.Ports.First), binaryutil.BigEndian.PutUint16(m.Ports.Last)
		if m.Ports.First == m.Ports.Last {
			x.equal(first)
		} else {
			x.compare(expr.CmpOpGte, first).compare(expr.CmpOpLte, last)
		}
	}
	if m.Syn != AnyFlags {
		const fin, syn, rst, ack = 0x01, 0x02, 0x04, 0x10
		op := expr.CmpOpEq
		if m.Syn == NotSyn {
			op = expr.CmpOpNeq
		}
		x.add(&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1})
		x.and([]byte{fin | syn | rst | ack}).compare(op, []byte{syn})
	}
}

// destination compares whole octets by loading only them, as nft does, so that
// rules loaded from the printed text are recognised.
func (x *exprs) destination(prefix netip.Prefix) {
	addr := prefix.Addr().AsSlice()
	offset := uint32(16) // of the destination in an IPv4 header
	if prefix.Addr().Is6() {
		offset = 24
	}
	mask := net.CIDRMask(prefix.Bits(), 8*len(addr))
	wholeOctets := prefix.Bits()%8 == 0
	if wholeOctets {
		addr = addr[:prefix.Bits()/8]
	}
	x.add(&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(addr))})
	if !wholeOctets {
		x.and(mask)
	}
	x.equal(addr)
}

func nfproto(f Family) byte {
	if f == IPv6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// device is a device name as the kernel compares it: all of its buffer.
func device(name string) []byte {
	buffer := make([]byte, unix.IFNAMSIZ)
	copy(buffer, name)
	return buffer
}
