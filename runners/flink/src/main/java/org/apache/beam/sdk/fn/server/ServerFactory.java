package org.apache.beam.sdk.fn.server;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.beam.model.pipeline.v1.Endpoints;
import org.apache.beam.sdk.fn.channel.SocketAddressFactory;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.BindableService;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.Server;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.ServerInterceptors;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.netty.NettyServerBuilder;

/**
 * Takes the place of Beam's class of this name, whose servers listen on every address of the machine, whatever they are told: whoever reaches a job server
 * can have it run anything. Here each listens on the address it is asked for, and on loopback where none is.
 */
public abstract class ServerFactory {
  private static final long KEEP_ALIVE_S = 19; // clients of Beam send a sign of life every 20 s

  public static ServerFactory createDefault() {
    return createWithUrlFactory(UrlFactory.createDefault());
  }

  public static ServerFactory createWithUrlFactory(UrlFactory urls) {
    return createWithUrlFactoryAndPortSupplier(urls, () -> 0);
  }

  public static ServerFactory createWithPortSupplier(Supplier<Integer> ports) {
    return createWithUrlFactoryAndPortSupplier(UrlFactory.createDefault(), ports);
  }

  public static ServerFactory createWithUrlFactoryAndPortSupplier(UrlFactory urls, Supplier<Integer> ports) {
    return new AtAddress(urls, ports);
  }

  public static ServerFactory createEpollSocket() {
    throw new UnsupportedOperationException("epoll");
  }

  public static ServerFactory createEpollDomainSocket() {
    throw new UnsupportedOperationException("epoll");
  }

  /** Starts a server at a free address, and tells `descriptor` which it is. */
  public abstract Server allocateAddressAndCreate(List<BindableService> services, Endpoints.ApiServiceDescriptor.Builder descriptor) throws IOException;

  /** Starts a server at the address of `descriptor`. */
  public abstract Server create(List<BindableService> services, Endpoints.ApiServiceDescriptor descriptor) throws IOException;

  /** How clients are told of a server. */
  public interface UrlFactory {
    String createUrl(String host, int port);

    static UrlFactory createDefault() {
      return (host, port) -> host + ":" + port;
    }
  }

  private static final class AtAddress extends ServerFactory {
    private final UrlFactory urls;
    private final Supplier<Integer> ports;

    private AtAddress(UrlFactory urls, Supplier<Integer> ports) {
      this.urls = urls;
      this.ports = ports;
    }

    @Override
    public Server allocateAddressAndCreate(List<BindableService> services, Endpoints.ApiServiceDescriptor.Builder descriptor) throws IOException {
      InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), ports.get());
      Server server = start(services, address);
      descriptor.setUrl(urls.createUrl(address.getHostName(), server.getPort()));
      return server;
    }

    @Override
    public Server create(List<BindableService> services, Endpoints.ApiServiceDescriptor descriptor) throws IOException {
      return start(services, SocketAddressFactory.createFrom(descriptor.getUrl()));
    }

    private static Server start(List<BindableService> services, SocketAddress address) throws IOException {
      NettyServerBuilder builder =
          NettyServerBuilder.forAddress(address).maxInboundMessageSize(Integer.MAX_VALUE).permitKeepAliveTime(KEEP_ALIVE_S, TimeUnit.SECONDS);
      for (BindableService service : services) {
        builder.addService(ServerInterceptors.intercept(service, GrpcContextHeaderAccessorProvider.interceptor()));
      }
      return builder.build().start();
    }
  }
}
