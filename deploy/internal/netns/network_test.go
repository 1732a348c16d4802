package netns

import (
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// cord is a cable whose host is the test.
type cord struct {
	sent chan []byte // by the host
	got  chan []byte // by the host
}

func (c *cord) Read(b []byte) (int, error) {
	data, open := <-c.sent
	if !open {
		return 0, io.EOF
	}
	return copy(b, data), nil
}

func (c *cord) Write(b []byte) (int, error) {
	c.got <- append([]byte(nil), b...)
	return len(b), nil
}

func (c *cord) Close() error {
	close(c.sent)
	return nil
}

// table is a network with the hosts a and b, in a bubble.
type table struct {
	*Network
	t    *testing.T
	a, b *cord
}

func atTable(t *testing.T, story func(t *testing.T, s *table)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &table{Network: newNetwork(), t: t}
		s.chance = func() float64 { return 0.5 }
		s.a, s.b = s.seat("a", 1), s.seat("b", 2)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		story(t, s)
	})
}

func (s *table) seat(name string, last byte) *cord {
	c := &cord{make(chan []byte), make(chan []byte, 100)}
	require.NoError(s.t, s.plug(&Host{name: name, address: netip.AddrFrom4([4]byte{10, 77, 0, last}), cable: c}))
	return c
}

// after waits and returns what a host has got since.
func (s *table) after(d time.Duration, c *cord) (got []byte) {
	time.Sleep(d)
	synctest.Wait()
	for {
		select {
		case data := <-c.got:
			got = append(got, data[len(data)-1])
		default:
			return got
		}
	}
}

// say makes a packet from one host to another that ends with mark.
func say(from, to, mark byte) []byte {
	p := make([]byte, minHeader+1)
	p[0] = 4<<4 | minHeader/4
	copy(p[12:], []byte{10, 77, 0, from})
	copy(p[16:], []byte{10, 77, 0, to})
	p[minHeader] = mark
	return p
}

// segment makes a packet of TCP from one host's port to another's, which ends
// with mark.
func segment(from byte, fromPort uint16, to byte, toPort uint16, flags, mark byte) []byte {
	p := append(say(from, to, 0)[:minHeader], make([]byte, minHeader+1)...)
	p[9] = protoTCP
	tcp := p[minHeader:]
	binary.BigEndian.PutUint16(tcp[0:], fromPort)
	binary.BigEndian.PutUint16(tcp[2:], toPort)
	tcp[13], tcp[minHeader] = flags, mark
	return p
}

func TestPlainLinksPassEverythingOnInOrder(t *testing.T) {
	atTable(t, func(t *testing.T, s *table) {
		for i := range byte(5) {
			s.a.sent <- say(1, 2, i)
		}
		require.Equal(t, []byte{0, 1, 2, 3, 4}, s.after(0, s.b))
		require.Empty(t, s.after(0, s.a))
		require.Equal(t, Traffic{Delivered: 5}, s.Traffic("a", "b"))
		require.Zero(t, s.Traffic("b", "a"))
	})
}

func TestACutIsOfOneDirection(t *testing.T) {
	atTable(t, func(t *testing.T, s *table) {
		s.Set("a", "b", Link{Cut: true})
		s.a.sent <- say(1, 2, 1)
		s.b.sent <- say(2, 1, 2)
		require.Empty(t, s.after(time.Hour, s.b))
		require.Equal(t, []byte{2}, s.after(0, s.a))
		require.Equal(t, Traffic{Dropped: 1}, s.Traffic("a", "b"))
		s.Heal()
		s.a.sent <- say(1, 2, 3)
		require.Equal(t, []byte{3}, s.after(0, s.b), "what was cut does not come later")
	})
}

func TestDelayKeepsTheOrder(t *testing.T) {
	atTable(t, func(t *testing.T, s *table) {
		s.Both("a", "b", Link{Delay: time.Second})
		for i := range byte(5) {
			s.a.sent <- say(1, 2, i)
		}
		require.Empty(t, s.after(999*time.Millisecond, s.b))
		require.Equal(t, []byte{0, 1, 2, 3, 4}, s.after(time.Millisecond, s.b))
		s.Set("a", "b", Link{Delay: 2 * time.Second})
		s.a.sent <- say(1, 2, 5)
		synctest.Wait()
		s.Set("a", "b", Link{Delay: time.Second})
		s.a.sent <- say(1, 2, 6)
		require.Equal(t, []byte{6, 5}, s.after(2*time.Second, s.b), "each has the delay of its moment")
	})
}

func TestChances(t *testing.T) {
	for name, test := range map[string]struct {
		link Link
		got  []byte
	}{
		"no loss":      {Link{Loss: 0.5}, []byte{1}},
		"loss":         {Link{Loss: 0.6}, nil},
		"no duplicate": {Link{Duplicate: 0.5}, []byte{1}},
		"duplicate":    {Link{Duplicate: 0.6}, []byte{1, 1}},
		"late":         {Link{Reorder: 0.5, Delay: time.Second}, nil},
		"overtaking":   {Link{Reorder: 0.6, Delay: time.Second}, []byte{1}},
		"doubly late":  {Link{Duplicate: 0.6, Delay: time.Second}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			atTable(t, func(t *testing.T, s *table) {
				s.Set("a", "b", test.link)
				s.a.sent <- say(1, 2, 1)
				require.Equal(t, test.got, s.after(0, s.b))
				want := 1
				if test.link.Duplicate > 0.5 {
					want = 2
				}
				if test.link.Loss > 0.5 {
					want = 0
				}
				require.Equal(t, want, s.Traffic("a", "b").Delivered)
			})
		})
	}
}

func TestAbandonedConnectionsStaySilent(t *testing.T) {
	atTable(t, func(t *testing.T, s *table) {
		const syn, ack = flagSYN, flagACK
		s.a.sent <- segment(1, 1000, 2, 80, syn, 1)
		require.Len(t, s.after(0, s.b), 1)
		s.b.sent <- segment(2, 80, 1, 1000, syn|ack, 2)
		require.Len(t, s.after(0, s.a), 1)
		s.Abandon("a", "b")
		s.a.sent <- segment(1, 1000, 2, 80, ack, 3)
		s.b.sent <- segment(2, 80, 1, 1000, ack, 4)
		require.Empty(t, s.after(0, s.a))
		require.Empty(t, s.after(0, s.b))
		s.b.sent <- segment(2, 1000, 1, 80, syn, 5)
		require.Equal(t, []byte{5}, s.after(0, s.a))
		s.a.sent <- segment(1, 80, 2, 1000, syn|ack, 6)
		s.a.sent <- say(1, 2, 7)
		require.Equal(t, []byte{6, 7}, s.after(0, s.b), "a new connection passes, and what is no connection")
		s.Heal()
		s.a.sent <- segment(1, 1000, 2, 80, ack, 8)
		require.Empty(t, s.after(0, s.b), "for ever")
	})
}

func TestWhatIsForNobodyIsLost(t *testing.T) {
	atTable(t, func(t *testing.T, s *table) {
		for _, data := range [][]byte{nil, {4 << 4}, say(1, 9, 1), say(1, 1, 1), append([]byte{6 << 4}, make([]byte, 60)...)} {
			s.a.sent <- data
		}
		require.Empty(t, s.after(0, s.a))
		require.Empty(t, s.after(0, s.b))
		require.Zero(t, s.Traffic("a", "b"))
	})
}

func TestMistakesOfATest(t *testing.T) {
	atTable(t, func(t *testing.T, s *table) {
		require.PanicsWithValue(t, `netns: there is no way from "a" to "c"`, func() { s.Set("a", "c", Link{}) })
		require.PanicsWithValue(t, `netns: there is no way from "a" to "a"`, func() { s.Both("a", "a", Link{}) })
		require.EqualError(t, s.plug(&Host{name: "a"}), "there is a host a already")
	})
}

func FuzzParse(f *testing.F) {
	f.Add(say(1, 2, 3))
	f.Add(segment(1, 1000, 2, 80, flagSYN, 0))
	f.Add([]byte{4<<4 | 15, 19: 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := parse(data)
		if !ok {
			require.Zero(t, p)
			return
		}
		require.True(t, p.from.Is4() && p.to.Is4())
		require.False(t, p.opening && !p.tcp)
		back := packet{from: p.to, to: p.from, fromPort: p.toPort, toPort: p.fromPort}
		require.Equal(t, p.flow(), back.flow())
	})
}
