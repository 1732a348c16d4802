package netns

import (
	"encoding/binary"
	"net/netip"
)

const (
	maxPacket = 64 << 10 // bytes

	minHeader = 20
	protoTCP  = 6
	flagSYN   = 0x02
	flagACK   = 0x10
)

// packet is what the switch needs of an IPv4 packet.
type packet struct {
	from, to         netip.Addr
	tcp              bool
	fromPort, toPort uint16
	opening          bool // the first packet of a TCP connection
}

// flow names a TCP connection, the same for both directions.
type flow struct{ a, b netip.AddrPort }

// parse reads the headers of an IPv4 packet. Of a fragment or a short packet it
// reads no TCP.
func parse(data []byte) (p packet, ok bool) {
	if len(data) < minHeader || data[0]>>4 != 4 {
		return packet{}, false
	}
	p.from = netip.AddrFrom4([4]byte(data[12:16]))
	p.to = netip.AddrFrom4([4]byte(data[16:20]))
	header := int(data[0]&0xf) * 4
	offset := binary.BigEndian.Uint16(data[6:8]) & 0x1fff
	if header < minHeader || data[9] != protoTCP || offset != 0 || len(data) < header+minHeader {
		return p, true
	}
	segment := data[header:]
	p.tcp = true
	p.fromPort, p.toPort = binary.BigEndian.Uint16(segment[0:2]), binary.BigEndian.Uint16(segment[2:4])
	p.opening = segment[13]&(flagSYN|flagACK) == flagSYN
	return p, true
}

func (p packet) flow() flow {
	a, b := netip.AddrPortFrom(p.from, p.fromPort), netip.AddrPortFrom(p.to, p.toPort)
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return flow{a, b}
}
